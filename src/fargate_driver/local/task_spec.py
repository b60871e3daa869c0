"""What a runtime is told of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.local.runtimes.base import ContainerSpec, Mount, SshFaults, TaskSpec
from fargate_driver.local.task_environment import ecs_variables

if TYPE_CHECKING:
    from pathlib import Path

    from fargate_driver.local.container import Container
    from fargate_driver.local.faults import TaskFaults
    from fargate_driver.local.task import Task


def task_spec(task: Task, directory: Path, faults: TaskFaults, time_scale: float) -> TaskSpec:
    """Return what a runtime has to know.

    Args:
        task: The task.
        directory: Its own, for its files; exists.
        faults: How it is to go wrong.
        time_scale: What the faults' seconds are multiplied by.
    """
    return TaskSpec(
        task_id=task.task_id,
        directory=directory,
        containers=tuple(_container(task, one) for one in task.containers),
        cpu=task.cpu,
        memory=task.memory,
        ssh=SshFaults(
            delay=faults.sshd_delay * time_scale,
            refuses_key=faults.key_refused_for * time_scale,
            other_host_key=faults.sshd_other_host_key,
        ),
        volumes=tuple(volume["name"] for volume in task.volumes),
    )


def _container(task: Task, container: Container) -> ContainerSpec:
    definition = container.definition
    return ContainerSpec(
        name=container.name,
        image=container.image,
        environment=container.environment | ecs_variables(task, container),
        entry_point=_words(definition, "entryPoint"),
        command=_words(definition, "command"),
        user=definition.get("user") or None,
        working_directory=definition.get("workingDirectory") or None,
        mounts=tuple(
            Mount(one["sourceVolume"], one["containerPath"], one.get("readOnly", False))
            for one in definition["mountPoints"]
        ),
        memory=definition.get("memory"),
        read_only=definition.get("readonlyRootFilesystem", False),
    )


def _words(definition: dict[str, Any], key: str) -> tuple[str, ...] | None:
    # An empty list is the same as none for ECS: the image's own then.
    return tuple(definition.get(key, ())) or None
