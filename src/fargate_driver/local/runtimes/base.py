"""What the embedded Fargate's lifecycle asks of a runtime, whatever way it runs a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class RuntimeUnavailableError(Exception):
    """This runtime does not work on this machine; the text says why and what would make it work."""


class ImageNotFoundError(Exception):
    """No image of this name is known here.

    Args:
        image: the name, as the task definition has it.
        advice: what would help.
    """

    def __init__(self, image: str, advice: str) -> None:
        super().__init__(f"{image}: {advice}")
        self.image = image


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
class Mount:
    """Where a container sees one of its task's volumes."""

    volume: str
    path: str
    """Absolute, in the container."""
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """One container of a task, with RunTask's overrides already merged in.

    What is None is as the image says.
    """

    name: str
    image: str
    environment: Mapping[str, str] = field(repr=False)
    """What the container's first process gets beside the image's, ECS's own variables included."""
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    user: str | None = None
    """`name`, `uid`, or either with `:group`."""
    working_directory: str | None = None
    mounts: tuple[Mount, ...] = ()
    memory: int | None = None
    """The container's hard limit in MiB, within the task's; None for none of its own."""
    read_only: bool = False
    """Whether its root file system is read-only."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task to run."""

    task_id: str
    """The last part of the task's ARN: 32 hexadecimal digits."""
    directory: Path
    """An existing private directory for all of the task's files; the lifecycle removes it."""
    containers: tuple[ContainerSpec, ...]
    cpu: int
    """CPU units: 1024 are one vCPU."""
    memory: int
    """Memory limit in MiB."""
    ssh: SshFaults = SshFaults()
    """For the SSH servers of all containers that have one."""
    volumes: tuple[str, ...] = ()
    """Empty at first, shared by the containers that mount them; they end with the task."""

    def log(self, name: str) -> Path:
        """Return the file that a container's stdout and stderr go to."""
        return self.directory / f"{name}.log"


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int
    """As ECS reports it: the exit status, or 128 + the signal's number."""
    out_of_memory: bool = False


class RunningContainer(Protocol):
    """A started container. Every method may be called again, and after the end."""

    async def wait(self) -> Exit:
        """Wait for the end of the first process; then nothing of the container is left."""

    async def stop(self, grace: float) -> None:
        """Send SIGTERM to the first process and SIGKILL to all `grace` seconds later.

        Returns when nothing of the container is left.
        """

    async def run(self, command: Sequence[str], timeout: float) -> int:
        """Run a command in the container's namespaces and environment, as health checks are.

        Returns:
            Its exit status; 128 + the signal's number where one ended it; 137 where it took longer
            than `timeout` seconds and was killed, or where the container has ended.
        """


class RunningTask(Protocol):
    """A task's surroundings. Every method but `start` may be called again, and after the end."""

    @property
    def address(self) -> str:
        """The task's own private IPv4 address."""

    async def start(self, name: str) -> RunningContainer:
        """Start one of the task's containers; returns when its first process runs.

        Raises:
            RuntimeUnavailableError: it can't be started; the text is ECS's reason or the machine's.
        """

    async def stop(self, grace: float) -> None:
        """End all containers as `RunningContainer.stop` does, then the surroundings.

        Returns when nothing of the task is left, whether containers were started or not.
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
    runs_images: bool
    """Whether it runs tasks of several containers and the built-in tools image."""

    async def probe(self) -> None:
        """Run a trivial task to see that this runtime works here.

        Raises:
            RuntimeUnavailableError: it does not.
        """

    async def start(self, spec: TaskSpec) -> RunningTask:
        """Make a task's surroundings: address, network, volumes; no container is started yet.

        Raises:
            ImageNotFoundError: a container's image is unknown; `image` names it.
            RuntimeUnavailableError: this runtime can't run such a task, or the machine ran out of
                something.
        """

    async def close(self) -> None:
        """End what is left and remove what the runtime itself made on this machine."""
