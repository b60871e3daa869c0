"""The life of a task, from PROVISIONING to STOPPED.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fargate_driver.local import reasons, unavailable
from fargate_driver.local.crew import Crew
from fargate_driver.local.directory import remove_tree
from fargate_driver.local.runtimes.base import ImageNotFoundError, RuntimeUnavailableError
from fargate_driver.local.task_spec import task_spec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from fargate_driver.local.faults import TaskFaults
    from fargate_driver.local.log_streams import LogStreams, Stream
    from fargate_driver.local.runtimes.base import RunningTask, Runtime
    from fargate_driver.local.task import Task

_PHASE = 0.02
"""Seconds that a status lasts where nothing takes time by itself."""
_LOG_PAUSE = 0.2
"""Real seconds until lines of a container show up in its log stream."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stop:
    """Why and how a task ends."""

    code: str
    reason: str
    grace: float | None = None
    """Unscaled seconds from SIGTERM to SIGKILL; None: the containers' stopTimeouts."""


class _StoppedEarlyError(Exception):
    """The task is to stop before it runs."""


class Fleet:
    """All tasks that live.

    Args:
        runtime: What runs them.
        directory: Where each gets a directory of its own; exists.
        time_scale: What every duration is multiplied by.
        logs: Where what their containers write goes to.
    """

    def __init__(
        self, runtime: Runtime, directory: Path, time_scale: float, logs: LogStreams
    ) -> None:
        self.runtime = runtime
        self.directory = directory
        self.time_scale = time_scale
        self.logs = logs
        self._lives: dict[str, _Life] = {}
        self._running: set[asyncio.Task[None]] = set()

    def launch(self, task: Task, faults: TaskFaults) -> None:
        """Begin a task's life."""
        life = self._lives[task.task_id] = _Life(self, task, faults)
        running = asyncio.create_task(life.run())
        self._running.add(running)
        running.add_done_callback(lambda _: self._end(task, running))

    def stop(self, task: Task, stop: Stop) -> None:
        """Have a task stop; nothing happens where it does already."""
        life = self._lives.get(task.task_id)
        if life:
            life.stop(stop)

    async def close(self) -> None:
        """End every task at once, and return when nothing of them is left."""
        self.time_scale = 0.0
        abandoned = [life.abandon() for life in self._lives.values()]
        for problem in await asyncio.gather(*abandoned, return_exceptions=True):
            if problem:
                _log.error("a task did not end well: %s", problem)
        while self._running:
            await asyncio.wait(self._running)

    def _end(self, task: Task, running: asyncio.Task[None]) -> None:
        del self._lives[task.task_id]
        self._running.discard(running)


class _Life:
    def __init__(self, fleet: Fleet, task: Task, faults: TaskFaults) -> None:
        self._fleet = fleet
        self._task = task
        self._faults = faults
        self._directory = fleet.directory / task.task_id
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._running: RunningTask | None = None
        self._crew: Crew | None = None
        self._timers: list[asyncio.Task[None]] = []
        self._written: list[tuple[Stream, Path]] = []
        self._subject = next(one for one in task.containers if faults.strikes(one))
        task.placed = not faults.never_starts

    def stop(self, stop: Stop) -> None:
        if self._stop.done():
            return
        self._stop.set_result(stop)
        self._task.desired = "STOPPED"
        self._task.stop_code, self._task.stopped_reason = stop.code, stop.reason
        self._task.mark("stoppingAt")

    async def abandon(self) -> None:
        """End the task without the grace that it may be in."""
        self.stop(Stop("TerminationNotice", "The embedded Fargate was stopped.", grace=0))
        if self._running:
            await self._running.stop(0)

    async def run(self) -> None:
        try:
            await self._start()
        except _StoppedEarlyError:
            pass
        except ImageNotFoundError as error:
            text = reasons.cannot_pull(error.image)
            for container in self._task.containers:
                if container.image == error.image:
                    container.reason = text
            self.stop(Stop("TaskFailedToStart", text))
        except (RuntimeUnavailableError, OSError, ValueError) as error:
            self._subject.reason = reasons.cannot_start(error)
            self.stop(Stop("TaskFailedToStart", self._subject.reason))
        except Exception as error:  # noqa: BLE001 - a task must never stay PENDING for ever
            _log.error("task %s: %s", self._task.task_id, error, exc_info=error)
            self.stop(Stop("TaskFailedToStart", reasons.cannot_start("internal error")))
        try:
            await self._finish()
        except Exception as error:  # noqa: BLE001 - what stopped must be seen to have stopped
            _log.error("task %s did not end well: %s", self._task.task_id, error, exc_info=error)
        self._task.enter("STOPPED")
        self._task.mark("stoppedAt")

    async def _start(self) -> None:
        task, faults = self._task, self._faults
        if faults.never_starts:
            await self._pause(None)
        await self._phase("PROVISIONING", faults.start_delay)
        task.interface.status = "ATTACHING"
        task.version += 1
        await self._pause(faults.eni_delay)
        task.mark("pullStartedAt")
        await self._phase("PENDING")
        problem = unavailable.reason_for(task)
        if problem:
            self._subject.reason = problem
            self.stop(Stop("TaskFailedToStart", problem))
            raise _StoppedEarlyError
        self._directory.mkdir(mode=0o700)
        spec = task_spec(task, self._directory, faults, self._fleet.time_scale)
        self._running = running = await self._fleet.runtime.start(spec)
        task.interface.address = running.address
        task.interface.status = "ATTACHED"
        task.mark("pullStoppedAt")
        task.connected_at = task.times["pullStoppedAt"]
        for container in task.containers:
            stream = self._fleet.logs.open(task, container)
            if stream:
                self._written.append((stream, spec.log(container.name)))
        if self._written:
            self._timers.append(asyncio.create_task(self._follow_logs()))
        ill = self._subject.name if faults.unhealthy else None
        self._crew = Crew(task, running, lambda: self._fleet.time_scale, ill, self._stop_for)
        await self._unless_stopped(self._crew.start())
        await self._phase("ACTIVATING")
        task.mark("startedAt")
        task.enter("RUNNING")
        self._schedule_faults(running, self._crew)
        if faults.stop_at == "RUNNING":
            self._stop_by_rule()
        await self._stop

    async def _follow_logs(self) -> None:
        while True:
            for stream, file in self._written:
                stream.follow(file)
            await asyncio.sleep(_LOG_PAUSE)

    def _stop_for(self, code: str, reason: str) -> None:
        self.stop(Stop(code, reason))

    async def _finish(self) -> None:
        task, stop = self._task, self._stop.result()
        await _cancel(self._timers)
        if self._crew:
            task.enter("DEACTIVATING")
            await self._rest()
            task.enter("STOPPING")
            await self._crew.stop(stop.grace)
            task.mark("executionStoppedAt")
        if self._running:
            await self._running.stop(0)
        for stream, file in self._written:
            stream.follow(file, to_the_end=True)
        for container in task.containers:
            container.status = "STOPPED"
        task.enter("DEPROVISIONING")
        task.interface.status = "DELETED"
        await asyncio.to_thread(remove_tree, self._directory)
        await self._rest()

    def _schedule_faults(self, running: RunningTask, crew: Crew) -> None:
        faults = self._faults
        if faults.interrupt_after is not None:
            self._later(faults.interrupt_after, self._interrupt)
        if faults.container_exits_after is not None:
            self._later(
                faults.container_exits_after,
                lambda: crew.kill(self._subject.name, faults.exit_code, faults.container_reason),
            )
        if faults.script_oom_after is not None:
            self._later(faults.script_oom_after, running.kill_largest_script_process)
        if faults.blackhole_after is not None:
            self._later(faults.blackhole_after, running.blackhole)

    async def _interrupt(self) -> None:
        self.stop(Stop("SpotInterruption", reasons.SPOT, grace=self._faults.grace))

    def _later(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        async def wait_and_act() -> None:
            await asyncio.sleep(max(seconds, _PHASE) * self._fleet.time_scale)
            await action()

        self._timers.append(asyncio.create_task(wait_and_act()))

    async def _phase(self, status: str, delay: float = 0.0) -> None:
        """Be in a status for its time, and end the task there where a rule says so."""
        self._task.enter(status)
        await self._pause(delay)
        if self._faults.stop_at == status:
            self._stop_by_rule()
            raise _StoppedEarlyError

    def _stop_by_rule(self) -> None:
        faults = self._faults
        self._subject.reason = faults.container_reason
        self.stop(Stop(faults.stop_code, faults.stopped_reason, grace=0))

    async def _pause(self, seconds: float | None) -> None:
        """Wait, for ever if None, unless the task is to stop meanwhile."""
        timeout = None if seconds is None else (seconds + _PHASE) * self._fleet.time_scale
        await asyncio.wait({self._stop}, timeout=timeout)
        if self._stop.done():
            raise _StoppedEarlyError

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for something to be done, unless the task is to stop meanwhile."""
        doing = asyncio.create_task(work)
        either: set[asyncio.Future[Any]] = {doing, self._stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._stop.done():
            await _cancel([doing])
            raise _StoppedEarlyError
        await doing

    async def _rest(self) -> None:
        await asyncio.sleep(_PHASE * self._fleet.time_scale)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for problem in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(problem, Exception):
            _log.error("what was to happen to a task did not: %s", problem)
