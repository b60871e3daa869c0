"""One call of the driver: a process that gitlab-runner's custom executor starts and waits for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

BUILD_FAILURE = 1
SYSTEM_FAILURE = 2
_CHUNK = 64 * 1024


class Verdict(Enum):
    """What a call's exit code means to the runner."""

    SUCCESS = "success"
    BUILD_FAILURE = "script_failure"
    SYSTEM_FAILURE = "system_failure"


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Args:
        verdict: What it means.
        message: The runner's words for it in the job log.
        exit_code: The script's code, for a build failure.
        phase: The call: `config`, `prepare`, a sub-stage or `cleanup`.
    """

    verdict: Verdict
    message: str = ""
    exit_code: int | None = None
    phase: str = ""


@dataclass(frozen=True)
class Grace:
    """How long a call that was told to stop may take, in seconds from SIGTERM.

    Args:
        graceful: Until SIGKILL (`graceful_kill_timeout`).
        force: From SIGKILL until the runner no longer waits (`force_kill_timeout`).
        patience: Until the runner goes on with cleanup even though the call may still be alive
            (WaitForBuildFinishTimeout).
    """

    graceful: float = 600.0
    force: float = 10.0
    patience: float = 300.0


def interpret(returncode: int, code_file: Path) -> Outcome:
    """What an exit code says, as `waitForCommand` and `parseBuildFailure` of gitlab-runner see it.

    Args:
        returncode: The exit status; negative for a signal.
        code_file: BUILD_EXIT_CODE_FILE, which counts only where the call reports a build failure.
            The runner never deletes it: what an earlier call left there is believed.
    """
    if returncode == 0:
        return Outcome(Verdict.SUCCESS)
    if returncode == SYSTEM_FAILURE:
        return Outcome(Verdict.SYSTEM_FAILURE, f"exit status {returncode}")
    if returncode != BUILD_FAILURE:
        unknown = f"unknown Custom executor executable exit code {max(returncode, -1)}"
        return Outcome(Verdict.SYSTEM_FAILURE, unknown)
    try:
        code = int(code_file.read_text().partition("\n")[0])
    except FileNotFoundError:
        code = BUILD_FAILURE
    except (OSError, ValueError):
        return Outcome(Verdict.SYSTEM_FAILURE, "BUILD_EXIT_CODE_FILE holds no exit code")
    return Outcome(Verdict.BUILD_FAILURE, f"exit status {code}", code)


class Call:
    """A running call.

    It is over when its process has ended *and* nobody holds its stdout and stderr any longer,
    as for gitlab-runner: something in the background that inherited them makes the job wait.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, grace: Grace, readers: list[asyncio.Task[None]]
    ) -> None:
        self._process = process
        self._grace = grace
        self._end = asyncio.gather(process.wait(), *readers)
        self._stopping: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        grace: Grace,
    ) -> Call:
        """Start the process: a process group of its own, nothing on stdin, a pipe per output.

        Raises:
            OSError: the program cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        pipes = ((process.stdout, on_stdout), (process.stderr, on_stderr))
        readers = [
            asyncio.create_task(_copy(pipe.read, sink)) for pipe, sink in pipes if pipe is not None
        ]
        return cls(process, grace, readers)

    def stop(self) -> None:
        """SIGTERM to the process group, SIGKILL after the grace."""
        if self._stopping is None and not self._end.done():
            self._stopping = asyncio.create_task(self._stop())
            asyncio.get_running_loop().call_later(self._grace.patience, self._given_up.set)

    def kill(self) -> None:
        """SIGKILL to the process group at once."""
        # The process leads its group, which may outlive it, holding its output.
        self._signal(signal.SIGKILL)

    async def wait(self, limit: float | None = None) -> int | None:
        """Wait for the end.

        Args:
            limit: Seconds after which the call is told to stop.

        Returns:
            The exit status, negative for a signal; None where the call was given up.
        """
        given_up = asyncio.create_task(self._given_up.wait())
        ends: set[asyncio.Future[Any]] = {self._end, given_up}
        try:
            done, _ = await asyncio.wait(ends, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self.stop()
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            given_up.cancel()
        if not self._end.done():
            return None
        await self.close()
        return self._process.returncode

    async def close(self) -> None:
        """End what is left of it: after this nothing here waits for the process any longer."""
        if self._stopping is not None:
            self._stopping.cancel()
        if not self._end.done():
            self.kill()
            self._end.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._end

    async def _stop(self) -> None:
        self._signal(signal.SIGTERM)
        await asyncio.sleep(self._grace.graceful)
        self._signal(signal.SIGKILL)
        await asyncio.sleep(self._grace.force)
        self._given_up.set()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


async def _copy(read: Callable[[int], Awaitable[bytes]], sink: Callable[[bytes], None]) -> None:
    while data := await read(_CHUNK):
        sink(data)
