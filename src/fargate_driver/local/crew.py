"""The containers of a task while it lives: the order they start and stop in, and their ends.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html, and
for what isn't said there the ECS agent's behaviour, which is public:
https://github.com/aws/amazon-ecs-agent/pull/3218
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fargate_driver.local import health, reasons
from fargate_driver.local.runtimes.base import RuntimeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.local.container import Container
    from fargate_driver.local.runtimes.base import Exit, RunningContainer, RunningTask
    from fargate_driver.local.task import Task

_STOP_TIMEOUT = 30
"""Seconds from SIGTERM to SIGKILL unless the container definition says otherwise."""
_NEVER_STARTED = 143
"""The exit code that ECS shows for a container whose dependencies failed."""

_log = logging.getLogger(__name__)


class _DependencyError(Exception):
    """A condition that a container waits for can't come true any more; in the agent's words."""


class _Member:
    def __init__(self, container: Container) -> None:
        self.container = container
        self.running: RunningContainer | None = None
        self.claimed: tuple[int, str | None] | None = None
        """The exit code and reason that a fault rule wants to be shown."""
        self.ended = asyncio.Event()
        """Its first process is gone."""
        self.settled = asyncio.Event()
        """It runs, or is over."""
        self.assessed = asyncio.Event()
        """It is healthy, or over."""
        self.over = asyncio.Event()
        self.life: asyncio.Task[None] | None = None
        self.waiting = True
        """For its dependencies; what it does later is never cancelled: programs are started."""

    def end(self) -> None:
        """Note that it runs no more, or never will."""
        self.container.status = "STOPPED"
        for event in (self.settled, self.assessed, self.over):
            event.set()

    def __str__(self) -> str:
        # As the agent shows containers in its errors.
        one = self.container
        known = one.status if self.running or self.over.is_set() else "NONE"
        ended = "" if one.exit_code is None else f" - Exit: {one.exit_code}"
        return f"[{one.name}({one.image}) ({known}->RUNNING){ended}]"


class Crew:
    """All containers of a task.

    Args:
        task: The task; its containers' states are kept up to date.
        running: Its surroundings, in which containers can be started.
        time_scale: What the definition's seconds are multiplied by.
        ill: The name of a container that is UNHEALTHY whatever its check says.
        stop: Told a stopCode and stoppedReason where the task has to stop; more than once, maybe.
    """

    def __init__(
        self,
        task: Task,
        running: RunningTask,
        time_scale: Callable[[], float],
        ill: str | None,
        stop: Callable[[str, str], None],
    ) -> None:
        self._task = task
        self._running = running
        self._time_scale = time_scale
        self._ill = ill
        self._stop = stop
        self._members = {one.name: _Member(one) for one in task.containers}

    async def start(self) -> None:
        """Start the containers as their dependencies allow; return when each runs or has ended."""
        for member in self._members.values():
            member.life = asyncio.create_task(self._live(member))
        for member in self._members.values():
            await member.settled.wait()

    async def stop(self, grace: float | None) -> None:
        """Stop all containers, those before others that depend on them.

        Args:
            grace: Seconds from SIGTERM to SIGKILL; None: as the definitions say.
        """
        members = self._members.values()
        idle = [member for member in members if member.waiting]
        lives = [member.life for member in idle if member.life]
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for member in idle:
            member.end()
        await asyncio.gather(*(self._stop_one(member, grace) for member in members))

    async def kill(self, name: str, exit_code: int, reason: str | None) -> None:
        """End a container at once, and have it seem to have ended by itself."""
        member = self._members[name]
        if member.running:
            member.claimed = (exit_code, reason)
            await member.running.stop(0)

    async def _stop_one(self, member: _Member, grace: float | None) -> None:
        name = member.container.name
        for other in self._members.values():
            if name in other.container.dependencies:
                await other.over.wait()
        await member.settled.wait()
        if member.running and member.life:
            own = member.container.definition.get("stopTimeout", _STOP_TIMEOUT)
            seconds = (own if grace is None else grace) * self._time_scale()
            try:
                await member.running.stop(seconds)
                await member.life
            except Exception as error:  # noqa: BLE001 - others wait for this one's end
                _log.error("container %s did not stop: %s", name, error, exc_info=error)
                member.end()

    async def _live(self, member: _Member) -> None:
        container = member.container
        try:
            await self._resolve(member)
            member.waiting = False
            member.running = await self._running.start(container.name)
            container.status = "RUNNING"
            if container.name == self._ill:
                container.health = "UNHEALTHY"
            self._changed()
            member.settled.set()
            self._ended(member, await self._watch(member, member.running))
        except _DependencyError as error:
            container.exit_code = _NEVER_STARTED
            self._failed(member, error)
        except (RuntimeUnavailableError, OSError, ValueError) as error:
            self._failed(member, error)
        except Exception as error:  # noqa: BLE001 - a task must never stay PENDING for ever
            _log.error("container %s: %s", container.arn, error, exc_info=error)
            self._failed(member, "internal error")
        finally:
            member.end()
            self._changed()

    async def _watch(self, member: _Member, running: RunningContainer) -> Exit:
        """Return how the container ended; until then, keep its health up to date."""
        checks = asyncio.create_task(self._check(member, running))
        exit_ = await running.wait()
        member.ended.set()
        await checks
        return exit_

    async def _check(self, member: _Member, running: RunningContainer) -> None:
        container = member.container
        if not container.health_check or container.name == self._ill:
            return
        async for state in health.states(
            container.health_check, running, member.ended, self._time_scale
        ):
            if state != container.health:
                container.health = state
                self._changed()
            if state == "HEALTHY":
                member.assessed.set()

    def _ended(self, member: _Member, exit_: Exit) -> None:
        container = member.container
        container.exit_code = exit_.code
        if member.claimed:
            container.exit_code, container.reason = member.claimed
        if exit_.out_of_memory:
            container.reason = reasons.OUT_OF_MEMORY
        if container.essential:
            self._stop("EssentialContainerExited", reasons.ESSENTIAL_EXITED)

    def _failed(self, member: _Member, error: object) -> None:
        member.container.reason = reasons.cannot_start_container(error)
        if member.container.essential:
            self._stop("TaskFailedToStart", reasons.FAILED_TO_START)

    async def _resolve(self, member: _Member) -> None:
        """Wait for all dependencies at once: the first that fails decides.

        Raises:
            _DependencyError: one of them failed.
        """
        waits = [
            asyncio.create_task(self._wait_for(member, self._members[name], condition))
            for name, condition in member.container.dependencies.items()
        ]
        if not waits:
            return
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _wait_for(self, target: _Member, dependency: _Member, condition: str) -> None:
        await dependency.settled.wait()
        if not dependency.running:
            raise _DependencyError(
                f"dependency graph: failed to resolve container ordering dependency {dependency} "
                f"for target {target} because dependency will never start"
            )
        if condition == "START":
            return
        limit = dependency.container.definition.get("startTimeout")
        event = dependency.assessed if condition == "HEALTHY" else dependency.over
        try:
            async with asyncio.timeout(None if limit is None else limit * self._time_scale()):
                await event.wait()
        except TimeoutError:
            raise _DependencyError(
                f"dependency graph: container ordering dependency {dependency} for target {target} "
                "has timed out."
            ) from None
        container = dependency.container
        if (condition == "SUCCESS" and container.exit_code != 0) or (
            condition == "HEALTHY" and container.health != "HEALTHY"
        ):
            raise _DependencyError(
                f"dependency graph: failed to resolve container ordering dependency {dependency} "
                f"for target {target} as dependency did not exit successfully."
            )

    def _changed(self) -> None:
        self._task.version += 1
