"""Waiting until a task can be connected to, and telling what happens meanwhile."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from fargate_driver.ecs.errors import EcsError, StartTimeoutError, TaskStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Protocol

    from fargate_driver.ecs.shared import SharedLooks

    class Describes(Protocol):
        """What can describe a task: the client, or a place among those who wait."""

        def describe_task(self, task_arn: str) -> dict[str, Any] | None:
            """Return the task, or None."""


_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 4.0
_MISSING_GRACE = 60.0
"""Seconds after RunTask in which ECS may not know its own task yet
(https://github.com/dask/dask-cloudprovider/issues/483)."""

_PHASES = (
    ("network", "createdAt", "pullStartedAt"),
    ("image pull", "pullStartedAt", "pullStoppedAt"),
    ("start", "pullStoppedAt", "startedAt"),
)


class Watch:
    """The start of one task, seen through DescribeTasks.

    Args:
        looks: where to see the task.
        task_arn: the task.
        container_name: the container that the job will run in.
        essential: as of diagnosis.of_stopped_task.
        chosen: what the job's author chose, for the verdict (verdict.Chosen).
        deadline: when the start must be over (time.monotonic).
        on_look: called before each look; what it raises ends the watch.
        on_phase: told each phase's name and its seconds by ECS's own timestamps, once it is over.
    """

    def __init__(
        self,
        looks: SharedLooks,
        task_arn: str,
        *,
        container_name: str,
        essential: Collection[str],
        chosen: Collection[str],
        deadline: float,
        on_look: Callable[[], None],
        on_phase: Callable[[str, float], None],
    ) -> None:
        self._looks = looks
        self._arn = task_arn
        self._container = container_name
        self._essential = essential
        self._chosen = chosen
        self._deadline = deadline
        self._on_look = on_look
        self._on_phase = on_phase
        self._begun = time.monotonic()
        self._told: set[str] = set()
        self._last = "ECS does not show the task yet"
        self._asked = 0.0

    def until_running(self, *, healthy: bool) -> dict[str, Any]:
        """Wait for RUNNING.

        Args:
            healthy: wait for the container's health check to report HEALTHY as well.

        Returns:
            The task as DescribeTasks shows it.

        Raises:
            TaskStoppedError: it stopped instead, or turned UNHEALTHY.
            StartTimeoutError: the deadline passed.
            EcsError: DescribeTasks failed.
        """
        pause = _FIRST_PAUSE
        task = self.look()
        while not (
            task
            and task.get("lastStatus") == "RUNNING"
            and (not healthy or self.health(task) == "HEALTHY")
        ):
            if time.monotonic() >= self._deadline:
                raise StartTimeoutError(
                    f"the task was not usable within StartTimeout; {self._last}"
                )
            due = time.monotonic() + pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads calls
            task = self._see(self._asked, due)
            pause = min(pause * 1.4, _LONGEST_PAUSE)
        return task

    def look(self) -> dict[str, Any] | None:
        """See the task as it is now.

        Returns:
            The task, or None while ECS doesn't show it, and where the deadline came first.

        Raises:
            TaskStoppedError: it stopped, is about to, or its container is UNHEALTHY.
            EcsError: DescribeTasks failed, or the task is missing for too long.
        """
        now = time.monotonic()
        return self._see(now, now)

    def look_again(self, interval: float) -> None:
        """See the task if the last look is older than `interval` seconds; raises as `look`."""
        now = time.monotonic()
        self._see(now - interval, now)

    def _see(self, than: float, due: float) -> dict[str, Any] | None:
        self._on_look()
        seen = self._looks.newer(than, due, self._deadline)
        if self._looks.trouble:
            self._last = self._looks.trouble
        if seen is None or seen.asked == self._asked:
            return None
        self._asked = seen.asked
        task = seen.task
        if seen.failure:
            raise EcsError(f"DescribeTasks: {seen.failure}", "DescribeTasks")
        if task is None:
            if seen.asked - self._begun > _MISSING_GRACE:
                raise EcsError(
                    f"ECS does not know the task {self._arn} that it started", "DescribeTasks"
                )
            return None
        self._tell_phases(task)
        self._last = f"ECS last showed it as {task.get('lastStatus', 'unknown')}"
        if task.get("desiredStatus") == "STOPPED":
            raise self._stopped(until_stopped(self._looks, task))
        if self.health(task) == "UNHEALTHY":
            raise TaskStoppedError(
                f"the health check of container {self._container} reports UNHEALTHY; see the task"
                " definition's healthCheck and the container's log",
                task,
            )
        return task

    def _stopped(self, task: dict[str, Any]) -> TaskStoppedError:
        # A start that goes well pays nothing for the table.
        from fargate_driver.ecs import diagnosis

        verdict = diagnosis.of_stopped_task(
            task, self._container, essential=self._essential, chosen=self._chosen
        )
        said = verdict.raw or "ECS gives no reason"
        return TaskStoppedError(verdict.beside(f"the task stopped: {said}"), task, verdict)

    def health(self, task: dict[str, Any]) -> str:
        """The healthStatus of the job's container; UNKNOWN too where it has no health check."""
        return str(container(task, self._container).get("healthStatus", "UNKNOWN"))

    def _tell_phases(self, task: dict[str, Any]) -> None:
        for name, begin, end in _PHASES:
            if name not in self._told and begin in task and end in task:
                self._told.add(name)
                self._on_phase(name, task[end] - task[begin])


def until_stopped(ecs: Describes, task: dict[str, Any], patience: float = 10.0) -> dict[str, Any]:
    """Wait for the exit codes and reasons of a task that is on its way to STOPPED.

    Args:
        ecs: what describes the task.
        task: the task as last described.
        patience: seconds to wait at most; SIGTERM handlers may keep a task DEACTIVATING for long.

    Returns:
        The task as last described.
    """
    deadline = time.monotonic() + patience
    while task.get("lastStatus") != "STOPPED" and time.monotonic() < deadline:
        time.sleep(0.5)
        task = ecs.describe_task(task["taskArn"]) or task
    return task


def container(task: dict[str, Any], name: str) -> dict[str, Any]:
    """The task's container of that name, or {} while ECS shows none."""
    found: dict[str, Any] = next(
        (c for c in task.get("containers", []) if c.get("name") == name), {}
    )
    return found


def private_address(task: dict[str, Any], container_name: str) -> str | None:
    """The task's private IPv4 address, or None while ECS shows none."""
    candidates = [
        interface.get("privateIpv4Address")
        for interface in container(task, container_name).get("networkInterfaces", [])
    ]
    candidates.append(_eni_detail(task, "privateIPv4Address"))
    return next((address for address in candidates if address), None)


def network_interface(task: dict[str, Any]) -> str | None:
    """The id of the task's elastic network interface, or None while ECS shows none."""
    return _eni_detail(task, "networkInterfaceId")


def _eni_detail(task: dict[str, Any], name: str) -> str | None:
    for attachment in task.get("attachments", []):
        if attachment.get("type") == "ElasticNetworkInterface":
            for detail in attachment.get("details", []):
                if detail.get("name") == name:
                    return str(detail.get("value"))
    return None
