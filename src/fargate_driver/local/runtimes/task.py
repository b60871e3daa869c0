"""A running task: the handle on its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes import processes
from fargate_driver.local.runtimes.base import Exit

if TYPE_CHECKING:
    from collections.abc import Callable


class SupervisedTask:
    """A `RunningTask` whose processes are all below one supervisor.

    Args:
        address: the task's own.
        supervisor: the process, having said that the task runs.
        on_exit: called once at the end.
    """

    def __init__(
        self,
        address: str,
        supervisor: asyncio.subprocess.Process,
        on_exit: Callable[[], None],
    ) -> None:
        self.address = address
        self._supervisor = supervisor
        self._end = asyncio.create_task(self._wait(on_exit))

    async def _wait(self, on_exit: Callable[[], None]) -> Exit:
        code = await self._supervisor.wait()
        said = await self._supervisor.stdout.read() if self._supervisor.stdout else b""
        on_exit()
        code = code if code >= 0 else 128 - code
        # Where the kernel killed another process than the init, the container lived on.
        return Exit(code, out_of_memory=code == 128 + signal.SIGKILL and bool(said))

    async def wait(self) -> Exit:
        """Wait for the end; then nothing of the task is left."""
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> None:
        """Send SIGTERM to the first process, which ends with 143; SIGKILL to all later."""
        # Not send_signal: its poll may take the exit status from asyncio's own watcher, which then
        # reports 255.
        if self._supervisor.returncode is None:
            _kill(self._supervisor.pid, signal.SIGTERM)
        _, still_running = await asyncio.wait([self._end], timeout=grace)
        if still_running and self._supervisor.stdin:
            # The end of its stdin tells the supervisor to kill everything.
            self._supervisor.stdin.close()
        await self.wait()

    async def blackhole(self) -> None:
        """Stop the SSH server's processes, by SIGSTOP; only the kernel still acknowledges."""
        while not self._end.done():
            servers = processes.servers(self._supervisor.pid)
            running = [pid for pid, process in servers.items() if process.state not in "TZ"]
            if servers and not running:
                return
            for pid in running:
                _kill(pid, signal.SIGSTOP)
            # Until all have stopped, one of them may have started another; or none has started yet.
            await asyncio.sleep(0.01)

    async def kill_largest_script_process(self) -> None:
        """SIGKILL the script's largest process; none is no error."""
        if not self._end.done():
            pid = processes.largest_of_script(self._supervisor.pid)
            if pid is not None:
                _kill(pid, signal.SIGKILL)


def _kill(pid: int, signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)
