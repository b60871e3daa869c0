"""A running task of one container: the handle on its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes import processes
from fargate_driver.local.runtimes.base import Exit, RuntimeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fargate_driver.local.runtimes.base import ContainerSpec, TaskSpec

_KILLED = 128 + signal.SIGKILL


class SupervisedContainer:
    """A `RunningContainer` whose processes are all below one supervisor.

    Args:
        supervisor: the process, having said that the container runs.
        entrance: returns the words before a command that is to run within the container.
        environment: what commands get.
        on_exit: called once at the end.
    """

    def __init__(
        self,
        supervisor: asyncio.subprocess.Process,
        entrance: Callable[[int], Sequence[str]],
        environment: Mapping[str, str],
        on_exit: Callable[[], None],
    ) -> None:
        self.supervisor = supervisor
        self._entrance = entrance
        self._environment = environment
        self._end = asyncio.create_task(self._wait(on_exit))

    @property
    def ended(self) -> bool:
        """Whether nothing of the container is left."""
        return self._end.done()

    async def _wait(self, on_exit: Callable[[], None]) -> Exit:
        code = await self.supervisor.wait()
        said = await self.supervisor.stdout.read() if self.supervisor.stdout else b""
        on_exit()
        code = code if code >= 0 else 128 - code
        # Where the kernel killed another process than the init, the container lived on.
        return Exit(code, out_of_memory=code == _KILLED and bool(said))

    async def wait(self) -> Exit:
        """Wait for the end; then nothing of the container is left."""
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> None:
        """Send SIGTERM to the first process, which ends with 143; SIGKILL to all later."""
        # Not send_signal: its poll may take the exit status from asyncio's own watcher, which then
        # reports 255.
        if self.supervisor.returncode is None:
            kill(self.supervisor.pid, signal.SIGTERM)
        _, still_running = await asyncio.wait([self._end], timeout=grace)
        if still_running and self.supervisor.stdin:
            # The end of its stdin tells the supervisor to kill everything.
            self.supervisor.stdin.close()
        await self.wait()

    async def run(self, command: Sequence[str], timeout: float) -> int:
        """Run a command in the container, see `RunningContainer.run`."""
        if self.ended:
            return _KILLED
        process = await asyncio.create_subprocess_exec(
            *self._entrance(self.supervisor.pid),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        )
        try:
            code = await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            code = -signal.SIGKILL
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return code if code >= 0 else 128 - code


class SupervisedTask:
    """A `RunningTask` of one container.

    Args:
        address: the task's own.
        begin: starts the container.
        on_end: called once where the container never starts.
    """

    def __init__(
        self,
        address: str,
        begin: Callable[[], Awaitable[SupervisedContainer]],
        on_end: Callable[[], None],
    ) -> None:
        self.address = address
        self.container: SupervisedContainer | None = None
        self._begin = begin
        self._on_end: Callable[[], None] | None = on_end

    async def start(self, _name: str) -> SupervisedContainer:
        """Start the container, see `RunningTask.start`."""
        self.container = await self._begin()
        self._on_end = None
        return self.container

    async def stop(self, grace: float) -> None:
        """End the container and with it the task, see `RunningTask.stop`."""
        if self.container:
            await self.container.stop(grace)
        elif self._on_end:
            self._on_end()
            self._on_end = None

    async def blackhole(self) -> None:
        """Stop the SSH server's processes, by SIGSTOP; only the kernel still acknowledges."""
        while self.container and not self.container.ended:
            servers = processes.servers(self.container.supervisor.pid)
            running = [pid for pid, process in servers.items() if process.state not in "TZ"]
            if servers and not running:
                return
            for pid in running:
                kill(pid, signal.SIGSTOP)
            # Until all have stopped, one of them may have started another; or none has started yet.
            await asyncio.sleep(0.01)

    async def kill_largest_script_process(self) -> None:
        """SIGKILL the script's largest process; none is no error."""
        if self.container and not self.container.ended:
            pid = processes.largest_of_script(self.container.supervisor.pid)
            if pid is not None:
                kill(pid, signal.SIGKILL)


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


def kill(pid: int, signal_number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)
