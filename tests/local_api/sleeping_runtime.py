"""A runtime whose containers are plain shell processes: enough to see the API and the lifecycle."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from typing import TYPE_CHECKING

from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes.base import (
    Exit,
    ImageNotFoundError,
    RuntimeUnavailableError,
    TaskSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = "TEST_COMMAND"
"""The variable of a container that holds its shell command."""
OUT_OF_MEMORY = 99
"""The exit status by which a command says that it was killed for its memory."""
BROKEN_IMAGE = "example.com/broken"


class SleepingTask:
    def __init__(self, process: asyncio.subprocess.Process, address: str, spec: TaskSpec) -> None:
        self.address = address
        self.spec = spec
        self.pid = process.pid
        self.events: list[str] = []
        self._process = process

    async def wait(self) -> Exit:
        code = await self._process.wait()
        self._signal(signal.SIGKILL)
        if code == OUT_OF_MEMORY:
            return Exit(137, out_of_memory=True)
        return Exit(code if code >= 0 else 128 - code)

    async def stop(self, grace: float) -> None:
        self.events.append(f"stop {grace:g}")
        if self._process.returncode is None:
            # Not process.terminate(): its poll() can take the exit status from asyncio's watcher.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), grace)
            except TimeoutError:
                self._signal(signal.SIGKILL)
        await self._process.wait()

    async def blackhole(self) -> None:
        self.events.append("blackhole")

    async def kill_largest_script_process(self) -> None:
        self.events.append("script killed")

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class SleepingRuntime:
    name = "sleeping"
    ssh_port = 2222
    ssh_user = "nobody"

    def __init__(self, *, shares_builds: bool = False) -> None:
        self.shares_builds = shares_builds
        self.started: list[SleepingTask] = []
        self.closed = False
        self._numbers = itertools.count(1)

    async def probe(self) -> None:
        pass

    async def start(self, spec: TaskSpec) -> SleepingTask:
        if spec.container.image == BROKEN_IMAGE:
            raise RuntimeUnavailableError("no addresses are left")
        if spec.container.image != HOST_IMAGE:
            raise ImageNotFoundError(spec.container.image)
        (spec.directory / "made-by-runtime").touch()
        command = spec.container.environment.get(COMMAND, "exec sleep 600")
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", command, env=dict(spec.container.environment), start_new_session=True
        )
        task = SleepingTask(process, f"127.99.0.{next(self._numbers)}", spec)
        self.started.append(task)
        return task

    async def close(self) -> None:
        self.closed = True

    async def choose(
        self, _name: str, _directory: Path, note: Callable[[str], None]
    ) -> SleepingRuntime:
        note("runtime: sleeping")
        return self
