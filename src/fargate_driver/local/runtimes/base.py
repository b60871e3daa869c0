"""What the embedded Fargate's lifecycle asks of a runtime, whatever way it runs a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RuntimeUnavailableError(Exception):
    """This runtime does not work on this machine; the text says why and what would make it work."""


class ImageNotFoundError(Exception):
    """No image of this name is known here."""


@dataclass(frozen=True)
class SshFaults:
    """How the task's SSH server is to misbehave; seconds are real ones, already scaled."""

    delay: float = 0.0
    """Seconds from the container's start until anything listens on the SSH port."""
    refuses_key: float = 0.0
    """Seconds from the container's start during which every key is refused (`inf`: for ever)."""
    other_host_key: bool = False
    """A different host key is shown from the second completed key exchange on."""


@dataclass(frozen=True)
class ContainerSpec:
    """One container of a task, with RunTask's overrides already merged in."""

    name: str
    image: str
    environment: Mapping[str, str] = field(repr=False)
    """What the container's first process gets, ECS's own variables included."""


@dataclass(frozen=True)
class TaskSpec:
    """A task to run."""

    task_id: str
    """The last part of the task's ARN: 32 hexadecimal digits."""
    directory: Path
    """An existing private directory for all of the task's files; the lifecycle removes it."""
    container: ContainerSpec
    cpu: int
    """CPU units: 1024 are one vCPU."""
    memory: int
    """Memory limit in MiB."""
    ssh: SshFaults = SshFaults()


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int
    """As ECS reports it: the exit status, or 128 + the signal's number."""
    out_of_memory: bool = False


class RunningTask(Protocol):
    """A started task. Every method may be called again, and after the end."""

    @property
    def address(self) -> str:
        """The task's own private IPv4 address."""

    async def wait(self) -> Exit:
        """Wait for the end of the container's first process; then nothing of the task is left."""

    async def stop(self, grace: float) -> None:
        """Send SIGTERM to the first process and SIGKILL to all `grace` seconds later.

        Returns when nothing of the task is left.
        """

    async def blackhole(self) -> None:
        """Let no byte of the task's SSH pass either way, and reset nothing.

        New connections are silent too.
        """

    async def kill_largest_script_process(self) -> None:
        """SIGKILL that process of the job's script which uses most memory, like the OOM killer."""


class Runtime(Protocol):
    """One way to run tasks."""

    name: str
    ssh_port: int
    """The port of the tasks' SSH servers."""
    ssh_user: str
    """Who logs in there."""
    shares_builds: bool
    """Whether /builds and /cache are not each task's own (the `process` tier)."""

    async def probe(self) -> None:
        """Run a trivial task to see that this runtime works here.

        Raises:
            RuntimeUnavailableError: it does not.
        """

    async def start(self, spec: TaskSpec) -> RunningTask:
        """Start a task; returns when its first process runs, which may be before sshd listens.

        Raises:
            ImageNotFoundError: the container's image is unknown.
            RuntimeUnavailableError: the machine ran out of something.
        """

    async def close(self) -> None:
        """End what is left and remove what the runtime itself made on this machine."""
