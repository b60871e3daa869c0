"""A task of a runtime, and real SSH clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes import login
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    RuntimeUnavailableError,
    SshFaults,
    TaskSpec,
)
from fargate_driver.local.runtimes.namespace import NamespaceRuntime
from fargate_driver.local.runtimes.process import ProcessRuntime
from fargate_driver.local.runtimes.user import UserRuntime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from fargate_driver.local.runtimes.base import RunningContainer, RunningTask, Runtime

needs_root = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
RUNTIMES = {
    "namespace": NamespaceRuntime,
    "process": ProcessRuntime,
    "user": UserRuntime,
}
EVERY = ["process", "user", pytest.param("namespace", marks=needs_root)]
ISOLATED = ["user", pytest.param("namespace", marks=needs_root)]
DEADLINE = 30.0


class StartedTask:
    """A task and its only container, which was started."""

    def __init__(self, task: RunningTask, container: RunningContainer) -> None:
        self.address = task.address
        self.container = container
        self.wait = container.wait
        self.stop = task.stop
        self.blackhole = task.blackhole
        self.kill_largest_script_process = task.kill_largest_script_process


async def start(runtime: Runtime, spec: TaskSpec) -> StartedTask:
    """Start a task and its only container."""
    task = await runtime.start(spec)
    try:
        return StartedTask(task, await task.start(spec.containers[0].name))
    except BaseException:
        await task.stop(0)
        raise


@dataclass
class Lab:
    """A runtime and what it takes to start tasks and to log in."""

    runtime: Runtime
    directory: Path
    key: Path
    public_key: str

    async def start(
        self,
        environment: Mapping[str, str] | None = None,
        ssh: SshFaults = SshFaults(),  # noqa: B008  frozen
        memory: int = 512,
    ) -> StartedTask:
        """Start a task."""
        task_id = uuid.uuid4().hex
        place = self.directory / task_id
        place.mkdir()
        variables = {"SSH_PUBLIC_KEY": self.public_key, **(environment or {})}
        container = ContainerSpec("ci-coordinator", HOST_IMAGE, variables)
        return await start(
            self.runtime,
            TaskSpec(
                task_id=task_id,
                directory=place,
                containers=(container,),
                cpu=256,
                memory=memory,
                ssh=ssh,
            ),
        )

    async def client(
        self, task: StartedTask, *command: str, options: tuple[str, ...] = (), **pipes: Any
    ) -> asyncio.subprocess.Process:
        """Start an SSH client, once something listens."""

        async def listens() -> bool:
            try:
                _, writer = await asyncio.open_connection(task.address, self.runtime.ssh_port)
            except OSError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        async with asyncio.timeout(DEADLINE):
            while not await listens():
                await asyncio.sleep(0.02)
        return await asyncio.create_subprocess_exec(
            *("ssh", "-F", "none", "-i", str(self.key), "-o", "BatchMode=yes"),
            *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *(options or ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")),
            *("-l", self.runtime.ssh_user, "-p", str(self.runtime.ssh_port), task.address),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            **{"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE, **pipes},
        )

    async def run(
        self, task: StartedTask, command: str, options: tuple[str, ...] = ()
    ) -> tuple[int | None, str, str]:
        """Run a command; return exit status, stdout and stderr."""
        client = await self.client(task, command, options=options)
        async with asyncio.timeout(DEADLINE):
            output, errors = await client.communicate()
        return client.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def lab(name: str) -> AsyncIterator[Lab]:
    """Make a runtime; at the end nothing of its tasks may be left but their logs."""
    # Not pytest's: that is root's alone, which other users' processes can't enter.
    place = Path(tempfile.mkdtemp(prefix="runtime-lab-"))
    directory = place / "local"
    directory.mkdir()
    runtime = RUNTIMES[name](directory)
    key = place / "key"
    try:
        yield Lab(runtime, directory, key, await login.make_key(key))
    except RuntimeUnavailableError as error:
        pytest.skip(f"the {name} runtime does not work here: {error}")
    finally:
        await runtime.close()
        left = [str(path) for path in directory.glob("*/*") if path.suffix != ".log"]
        shutil.rmtree(place)
    assert left == []


def task_of(container: ContainerSpec, directory: Path) -> TaskSpec:
    """Return a small task of one container."""
    return TaskSpec(
        task_id="0" * 32, directory=directory, containers=(container,), cpu=256, memory=512
    )


async def end(client: asyncio.subprocess.Process) -> None:
    """End a client that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        client.kill()
    await client.communicate()


def processes_with(token: str) -> list[int]:
    """Return the processes that have a text in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and token.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [pid for pid in found if pid != os.getpid()]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


def token() -> str:
    """Return a number of seconds for `sleep` that no other process sleeps for."""
    return f"9{uuid.uuid4().int % 10**8:08d}"
