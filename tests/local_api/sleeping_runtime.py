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
    ContainerSpec,
    Exit,
    ImageNotFoundError,
    RuntimeUnavailableError,
    TaskSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

COMMAND = "TEST_COMMAND"
"""The variable of a container that holds its shell command."""
OUT_OF_MEMORY = 99
"""The exit status by which a command says that it was killed for its memory."""
BROKEN_IMAGE = "example.com/broken"
"""A task of it can't be prepared."""
BROKEN_ENTRY_POINT = "/broken"
"""A container with it can't be started."""


class SleepingContainer:
    def __init__(self, process: asyncio.subprocess.Process, spec: ContainerSpec) -> None:
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
        if self._process.returncode is None:
            self.events.append(f"stop {grace:g}")
            # Not process.terminate(): its poll() can take the exit status from asyncio's watcher.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), grace)
            except TimeoutError:
                self._signal(signal.SIGKILL)
        await self.wait()

    async def run(self, command: Sequence[str], timeout: float) -> int:
        process = await asyncio.create_subprocess_exec(*command, env=dict(self.spec.environment))
        try:
            code = await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            process.kill()
            await process.wait()
            code = 137
        return code

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class SleepingTask:
    def __init__(self, address: str, spec: TaskSpec) -> None:
        self.address = address
        self.spec = spec
        self.containers: dict[str, SleepingContainer] = {}
        self.events: list[str] = []

    @property
    def container(self) -> SleepingContainer:
        """The only container."""
        (container,) = self.containers.values()
        return container

    async def start(self, name: str) -> SleepingContainer:
        (spec,) = (one for one in self.spec.containers if one.name == name)
        if spec.entry_point == (BROKEN_ENTRY_POINT,):
            raise RuntimeUnavailableError(f"{BROKEN_ENTRY_POINT}: no such file")
        command = spec.environment.get(COMMAND, "exec sleep 600")
        with self.spec.log(name).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *("sh", "-c", command),
                env=dict(spec.environment),
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        self.containers[name] = SleepingContainer(process, spec)
        return self.containers[name]

    async def stop(self, grace: float) -> None:
        await asyncio.gather(*(one.stop(grace) for one in self.containers.values()))

    async def blackhole(self) -> None:
        self.events.append("blackhole")

    async def kill_largest_script_process(self) -> None:
        self.events.append("script killed")


class SleepingRuntime:
    name = "sleeping"
    ssh_port = 2222
    ssh_user = "nobody"

    def __init__(self, *, shares_builds: bool = False, runs_images: bool = False) -> None:
        self.shares_builds = shares_builds
        self.runs_images = runs_images
        self.started: list[SleepingTask] = []
        self.closed = False
        self._numbers = itertools.count(1)

    async def probe(self) -> None:
        pass

    async def start(self, spec: TaskSpec) -> SleepingTask:
        for container in spec.containers:
            if container.image == BROKEN_IMAGE:
                raise RuntimeUnavailableError("no addresses are left")
            if container.image != HOST_IMAGE:
                raise ImageNotFoundError(container.image, "not known here")
        (spec.directory / "made-by-runtime").touch()
        task = SleepingTask(f"127.99.0.{next(self._numbers)}", spec)
        self.started.append(task)
        return task

    async def close(self) -> None:
        self.closed = True

    async def choose(
        self, _name: str, _directory: Path, note: Callable[[str], None]
    ) -> SleepingRuntime:
        note("runtime: sleeping")
        return self
