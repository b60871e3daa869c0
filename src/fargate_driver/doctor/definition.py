"""The task definition that the settings name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.finding import Finding, Status, ok, unchecked, wrong
from fargate_driver.ecs import sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

_USUAL_SSH = {22, 2222}
_REVISE = "register another revision of it"


def describe(aws: Aws, name: str) -> dict[str, Any] | CallError:
    """Read a task definition.

    Args:
        aws: For the call.
        name: As the settings have it; "" for none.

    Returns:
        The definition as DescribeTaskDefinition shows it, an empty one for none, or why it can't be
        read.
    """
    if not name:
        return {}
    try:
        answer = aws.call("ecs:DescribeTaskDefinition", taskDefinition=name)
    except CallError as error:
        return error
    definition: dict[str, Any] = answer["taskDefinition"]
    return definition


def exists(described: dict[str, Any] | CallError, name: str, key: str) -> Finding:
    """Whether a task definition is there, and active.

    Args:
        described: As `describe` returned it; not an empty one.
        name: As the settings have it.
        key: The key of the settings.
    """
    check = "task-definition" if key == "TaskDefinition" else "base-task-definition"
    if isinstance(described, CallError):
        if described.code == "ClientException":
            mend = (
                f"set {key} to one of those that `aws ecs list-task-definitions` shows, or Region"
            )
            return wrong(check, f"there is no task definition {name}", mend)
        return unchecked(check, described.why)
    revision = f"{described['family']}:{described['revision']}"
    if described["status"] != "ACTIVE":
        found = f"{revision} is {described['status']}: nothing can be started from it"
        return wrong(check, found, f"{_REVISE}, or name the family alone in {key}")
    return ok(check, f"{revision} is ACTIVE")


def look(described: dict[str, Any] | CallError, config: Settings) -> Iterator[Finding]:
    """Check the task definition.

    Args:
        described: As `describe` returned it.
        config: The settings.
    """
    if not described and not isinstance(described, CallError):
        yield unchecked("task-definition", "the configuration names none: each job does")
        return
    yield exists(described, config.fargate.task_definition, "TaskDefinition")
    if isinstance(described, CallError):
        for check in ("size", "roles", "platform", "container", "ssh-port"):
            yield unchecked(check, "see task-definition")
        return
    revision = f"{described['family']}:{described['revision']}"
    yield from _fargate(described)
    containers = {one["name"]: one for one in described["containerDefinitions"]}
    container = containers.get(config.fargate.container_name)
    if container is None:
        yield _no_container(config.fargate.container_name, list(containers), revision)
    else:
        yield from _container(container, config)


def _fargate(described: dict[str, Any]) -> Iterator[Finding]:
    """Whether it can run on Fargate, and if not: the one reason."""
    mode = described.get("networkMode", "bridge")
    cpu, memory = sizes.amount(described.get("cpu")), sizes.amount(described.get("memory"))
    if mode != "awsvpc":
        mend = f'{_REVISE} with networkMode = "awsvpc"'
        yield wrong("network-mode", f"{mode}: Fargate needs awsvpc", mend)
        return
    yield ok("network-mode", "awsvpc")
    if cpu is None or memory is None:
        mend = f"{_REVISE} with cpu and memory of the task, such as 1024 and 2048"
        yield wrong("size", "cpu or memory of the task is missing: Fargate needs both", mend)
        return
    if not sizes.is_size(cpu, memory):
        mend = f"{_REVISE} with a size of Fargate's, such as 1024 and 2048"
        yield wrong("size", f"cpu {cpu} with memory {memory} is none of Fargate's sizes", mend)
        return
    yield ok("size", f"{sizes.shown_cpu(cpu)}, {sizes.shown_memory(memory)}")
    roles = _roles(described)
    yield roles
    if roles.status is Status.WRONG:
        return
    compatible = described.get("compatibilities", [])
    if "FARGATE" not in compatible:
        found = f"ECS finds it fit for {', '.join(compatible) or 'nothing'} only"
        mend = f'{_REVISE} with requiresCompatibilities = ["FARGATE"]: ECS then says what is wrong'
        yield wrong("compatibility", found, mend)
        return
    yield ok("compatibility", "fit for Fargate")
    platform = described.get("runtimePlatform", {})
    system = platform.get("operatingSystemFamily", "LINUX")
    architecture = platform.get("cpuArchitecture", "X86_64")
    if system != "LINUX":
        yield wrong("platform", f"{system}: jobs need Linux", f"{_REVISE} for LINUX")
    else:
        yield ok("platform", f"Linux on {architecture}")


def _no_container(wanted: str, names: list[str], revision: str) -> Finding:
    close = get_close_matches(wanted, names, n=1) or (names if len(names) == 1 else [])
    mend = f'set [Fargate] ContainerName = "{close[0]}"' if close else "see [Fargate] ContainerName"
    found = f"{revision} has no container {wanted}; it has {', '.join(names)}"
    return wrong("container", found, f"{mend}, or call the container {wanted}")


def _container(container: dict[str, Any], config: Settings) -> Iterator[Finding]:
    yield ok("container", f"{container['name']} of the image {container['image']}")
    port = config.ssh.port
    ports = {mapping.get("containerPort") for mapping in container.get("portMappings", [])}
    if port in ports:
        yield ok("ssh-port", f"{port}")
    elif ports & _USUAL_SSH:
        other = min(ports & _USUAL_SSH)
        found = f"[SSH] Port is {port}, and the container's port is {other}"
        yield wrong("ssh-port", found, f"set [SSH] Port = {other}, or let sshd listen on {port}")
    else:
        # In the network mode awsvpc every port is open, named or not.
        yield unchecked("ssh-port", f"the container doesn't name port {port}, and need not")
    if config.fargate.wait_for_healthy:
        if container.get("healthCheck"):
            yield ok("health-check", "there is one, and WaitForHealthy waits for it")
        else:
            found = "WaitForHealthy is true, but the container has no healthCheck: jobs never start"
            yield wrong(
                "health-check",
                found,
                f"set WaitForHealthy = false, or {_REVISE} with a healthCheck",
            )


def _roles(described: dict[str, Any]) -> Finding:
    told = [
        f"{what} role {described[key].rpartition('/')[2]}"
        for key, what in (("executionRoleArn", "execution"), ("taskRoleArn", "task"))
        if described.get(key)
    ]
    if not described.get("taskRoleArn"):
        told.append("no task role: scripts call AWS with credentials of their own")
    reason = _needs_execution_role(described)
    if reason and not described.get("executionRoleArn"):
        return wrong(
            "roles",
            f"no execution role, which {reason} needs",
            f"{_REVISE} with executionRoleArn (AmazonECSTaskExecutionRolePolicy)",
        )
    return ok("roles", "; ".join(told))


def _needs_execution_role(described: dict[str, Any]) -> str:
    """Say what needs one, "" for nothing.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    """
    for container in described["containerDefinitions"]:
        if ".dkr.ecr." in container["image"]:
            return f"the image {container['image']} in ECR"
        if container.get("logConfiguration", {}).get("logDriver") == "awslogs":
            return "the log driver awslogs"
        if container.get("secrets") or container.get("repositoryCredentials"):
            return "a secret of a container"
    return ""
