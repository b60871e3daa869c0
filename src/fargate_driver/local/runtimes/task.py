"""A running task: the handles on the supervisors of its containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.local.runtimes import processes
from fargate_driver.local.runtimes.base import Exit, RuntimeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fargate_driver.local.runtimes.base import ContainerSpec, TaskSpec

_KILLED = 128 + signal.SIGKILL


class Visit(NamedTuple):
    """A program of the host that runs a command within a container."""

    words: Sequence[str]
    environment: Mapping[str, str]
    input: bytes = b""


class SupervisedContainer:
    """A `RunningContainer` whose processes are all below one supervisor.

    Args:
        supervisor: the process, having said that the container runs.
        visit: how a command is run within the container, given the supervisor's PID.
        serves_ssh: whether the driver may log in to it.
    """

    def __init__(
        self,
        supervisor: asyncio.subprocess.Process,
        visit: Callable[[int, Sequence[str]], Visit],
        *,
        serves_ssh: bool,
    ) -> None:
        self.supervisor = supervisor
        self.serves_ssh = serves_ssh
        self._visit = visit
        self._end = asyncio.create_task(self._wait())

    @property
    def ended(self) -> bool:
        """Whether nothing of the container is left."""
        return self._end.done()

    async def _wait(self) -> Exit:
        code = await self.supervisor.wait()
        said = await self.supervisor.stdout.read() if self.supervisor.stdout else b""
        code = code if code >= 0 else 128 - code
        # Where the kernel killed another process than the init, the container lived on.
        return Exit(code, out_of_memory=code == _KILLED and bool(said))

    async def wait(self) -> Exit:
        """Wait for the end; then nothing of the container is left."""
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> None:
        """Ask the first process to end, and kill all later, see `RunningContainer.stop`."""
        # Not send_signal: its poll may take the exit status from asyncio's own watcher, which then
        # reports 255.
        if self.supervisor.returncode is None:
            _kill(self.supervisor.pid, signal.SIGTERM)
        _, still_running = await asyncio.wait([self._end], timeout=grace)
        if still_running and self.supervisor.stdin:
            # The end of its stdin tells the supervisor to kill everything.
            self.supervisor.stdin.close()
        await self.wait()

    async def run(self, command: Sequence[str], timeout: float) -> int:
        """Run a command in the container, see `RunningContainer.run`."""
        if self.ended:
            return _KILLED
        visit = self._visit(self.supervisor.pid, command)
        process = await asyncio.create_subprocess_exec(
            *visit.words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=visit.environment,
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(process.communicate(visit.input), timeout)
            code = process.returncode or 0
        except TimeoutError:
            code = -signal.SIGKILL
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return code if code >= 0 else 128 - code

    async def blackhole(self) -> None:
        """Stop the SSH server's processes, by SIGSTOP; only the kernel still acknowledges."""
        while not self.ended:
            servers = processes.servers(self.supervisor.pid)
            running = [pid for pid, process in servers.items() if process.state not in "TZ"]
            if servers and not running:
                return
            for pid in running:
                _kill(pid, signal.SIGSTOP)
            # Until all have stopped, one of them may have started another; or none has started yet.
            await asyncio.sleep(0.01)

    def kill_largest_script_process(self) -> bool:
        """SIGKILL the script's largest process; return whether there was one."""
        pid = None if self.ended else processes.largest_of_script(self.supervisor.pid)
        if pid is not None:
            _kill(pid, signal.SIGKILL)
        return pid is not None


class SupervisedTask:
    """A `RunningTask`.

    Args:
        address: the task's own.
        begin: starts the container of a name.
        give_back: called once at the end, with all containers ended.
    """

    def __init__(
        self,
        address: str,
        begin: Callable[[str], Awaitable[SupervisedContainer]],
        give_back: Callable[[], Awaitable[None]],
    ) -> None:
        self.address = address
        self.containers: dict[str, SupervisedContainer] = {}
        self._begin = begin
        self._give_back = give_back
        self._starts: set[asyncio.Task[SupervisedContainer]] = set()
        self._stopping = False
        self._end: asyncio.Future[None] | None = None

    async def start(self, name: str) -> SupervisedContainer:
        """Start a container, see `RunningTask.start`."""
        if self._stopping:
            raise RuntimeUnavailableError("the task has been stopped")
        # Whoever waits may be cancelled: `stop` must know of the container all the same.
        start = asyncio.create_task(self._start(name))
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)
        return await asyncio.shield(start)

    async def _start(self, name: str) -> SupervisedContainer:
        container = self.containers[name] = await self._begin(name)
        return container

    async def stop(self, grace: float) -> None:
        """End all containers and the surroundings, see `RunningTask.stop`."""
        self._stopping = True
        await asyncio.gather(*self._starts, return_exceptions=True)
        await asyncio.gather(*(one.stop(grace) for one in self.containers.values()))
        if self._end is None:
            self._end = asyncio.ensure_future(self._give_back())
        await asyncio.shield(self._end)

    async def blackhole(self) -> None:
        """Let no byte of the task's SSH pass, see `RunningTask.blackhole`."""
        await asyncio.gather(*(one.blackhole() for one in self._servers()))

    async def kill_largest_script_process(self) -> None:
        """SIGKILL the script's largest process; none is no error."""
        # A script runs in one container at a time; servers without a session have no candidates.
        any(one.kill_largest_script_process() for one in self._servers())

    def _servers(self) -> list[SupervisedContainer]:
        return [one for one in self.containers.values() if one.serves_ssh]


def only_container(spec: TaskSpec, runtime: str) -> ContainerSpec:
    """Return a task's container.

    Raises:
        RuntimeUnavailableError: there are several.
    """
    if len(spec.containers) != 1:
        raise RuntimeUnavailableError(
            f"the {runtime} runtime runs one container per task: use --runtime user"
        )
    return spec.containers[0]


def _kill(pid: int, signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)
