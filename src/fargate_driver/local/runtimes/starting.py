"""Start one container of a task: from what is known of it to the plan of its supervisor."""

from __future__ import annotations

import base64
import contextlib
import math
import os
import pwd
import secrets
import shutil
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes import accounts, processes
from fargate_driver.local.runtimes.base import RuntimeUnavailableError
from fargate_driver.local.runtimes.cgroups import within
from fargate_driver.local.runtimes.first_process import first_process
from fargate_driver.local.runtimes.inside import visitor
from fargate_driver.local.runtimes.inside.plan import Bind, Inner, Plan, Process
from fargate_driver.local.runtimes.launch import launch, program
from fargate_driver.local.runtimes.task import SupervisedContainer, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fargate_driver.local.runtimes.base import ContainerSpec, SshFaults, TaskSpec
    from fargate_driver.local.runtimes.images import Image

_FALLBACK_HOME = "/job-home"
_TOOLS = "/opt/fargate"
_KEY, _LISTEN = "SSH_PUBLIC_KEY", "FARGATE_LISTEN_ADDRESS"


@dataclass(frozen=True)
class Host:
    """What a runtime knows before there are tasks."""

    user: str
    """Who runs it; the one that logs in to the built-in job image."""
    port: int
    """Of that image's SSH server."""
    hidden: Path
    """The embedded Fargate's directory, which isolated tasks don't see."""
    isolated: bool


@dataclass(frozen=True)
class Surroundings:
    """What the containers of a task share."""

    address: str
    network: int | None = None
    """A descriptor of the task's network namespace; None: the host's."""
    cgroups: Sequence[Path] = ()
    inner: Mapping[str, Inner] = field(default_factory=dict)
    """By container, where its SSH server is to listen if there is to be another in front of it."""


async def begin(
    host: Host, spec: TaskSpec, container: ContainerSpec, image: Image, place: Surroundings
) -> SupervisedContainer:
    """Start a container.

    Args:
        host: The machine.
        spec: Its task.
        container: Which of it.
        image: Its image.
        place: Its task's surroundings.

    Raises:
        RuntimeUnavailableError: it can't be started, see `RunningTask.start`.
    """
    host_name = f"ip-{place.address.replace('.', '-')}.ec2.internal"
    environment = {**_own_environment(), "HOME": _home(), **container.environment}
    process, inner = None, None
    if image.stored or image.tools:
        container = _told(container, spec.ssh, place)
        inner = place.inner.get(container.name) if _KEY in container.environment else None
        process = _process(container, image, host_name)
    plan = Plan(
        storage=str(spec.directory.resolve() / f"{container.name}.storage"),
        hidden=str(host.hidden),
        address=place.address,
        host_name=host_name,
        port=host.port,
        sshd=find_sshd(),
        user="root" if image.tools else host.user,
        home=_home(),
        path=_path_directories(),
        isolated=host.isolated,
        network=place.network,
        cgroups=[str(one) for one in within(place.cgroups, container.name, container.memory)],
        root=str(image.stored.root) if image.stored else None,
        read_only=container.read_only,
        binds=_binds(spec, container, image),
        process=process,
        inner=inner,
        delay=spec.ssh.delay,
        refuses_key=None if math.isinf(spec.ssh.refuses_key) else spec.ssh.refuses_key,
        other_host_key=spec.ssh.other_host_key,
    )
    supervisor = await launch(
        "supervisor",
        plan.dumps(),
        # An image's variables, such as LD_LIBRARY_PATH, are not for the host's programs.
        _own_environment() if process else environment,
        spec.log(container.name),
        [] if place.network is None else [place.network],
    )
    return SupervisedContainer(
        supervisor,
        _visitor(process or _session(environment), plan.cgroups)
        if host.isolated
        else lambda _, command: Visit(command, environment),
        serves_ssh=_KEY in container.environment,
    )


def volumes(spec: TaskSpec) -> Path:
    """Return the directory that holds a directory for each of a task's volumes."""
    return spec.directory / "volumes"


def _binds(spec: TaskSpec, container: ContainerSpec, image: Image) -> list[Bind]:
    place = volumes(spec).resolve()
    binds = [Bind(str(place / one.volume), one.path, one.read_only) for one in container.mounts]
    return [*binds, Bind(str(image.tools), _TOOLS, read_only=True)] if image.tools else binds


def _told(container: ContainerSpec, ssh: SshFaults, place: Surroundings) -> ContainerSpec:
    """Tell a container's servers, by its variables, where to listen and how to misbehave."""
    variables = dict(container.environment)
    if place.network is None:  # all tasks share the host's addresses
        variables.setdefault(_LISTEN, place.address)
    if _KEY in variables:
        if container.name in place.inner:
            variables[_LISTEN] = place.inner[container.name].address
        if math.isinf(ssh.refuses_key):
            variables[_KEY] = _nobodys_key()
        elif ssh.refuses_key:
            raise RuntimeUnavailableError(
                "an image's server can't accept a key after a while: use sshd_refuses_key true"
            )
    return replace(container, environment=variables)


def _nobodys_key() -> str:
    """Return a public key whose private one nobody has."""
    kind = b"ssh-ed25519"
    fields = (kind, secrets.token_bytes(32))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in fields)
    return f"{kind.decode()} {base64.b64encode(blob).decode()} nobody"


def _process(container: ContainerSpec, image: Image, host_name: str) -> Process:
    root = image.stored.root if image.stored else Path("/")
    user = image.config.user if container.user is None else container.user
    try:
        account = accounts.find(root, user)
    except accounts.AccountError as error:
        raise RuntimeUnavailableError(str(error)) from None
    config = image.config
    if image.tools:
        # What sources and artifacts need, such as git and gitlab-runner, is on the caller's PATH.
        config = replace(config, env=(f"PATH={_own_environment()['PATH']}", f"HOME={_home()}"))
    return first_process(container, config, account, host_name)


def _session(environment: Mapping[str, str]) -> Process:
    """Return what runs in a container of the built-in image, apart from its arguments."""
    return Process(
        arguments=[],
        environment=dict(environment),
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=[],
        working_directory="/",
        stop_signal=signal.SIGTERM,
    )


def _visitor(process: Process, cgroups: list[str]) -> Callable[[int, Sequence[str]], Visit]:
    def visit(supervisor: int, command: Sequence[str]) -> Visit:
        below = processes.descendants(supervisor).values()
        # None: it has just ended, and so has what /proc shows of the supervisor.
        init = next((one.pid for one in below if one.parent == supervisor), supervisor)
        order = visitor.order(init, cgroups, process._replace(arguments=list(command)))
        return Visit(program("visitor"), _own_environment(), order.encode() + b"\n")

    return visit


def _own_environment() -> dict[str, str]:
    """Return what the programs around a container get, whatever its own environment is."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _home() -> str:
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        with contextlib.suppress(KeyError):
            home = pwd.getpwuid(os.geteuid()).pw_dir
    path = Path(home).resolve()
    return str(path) if path.is_dir() and path != Path("/") else _FALLBACK_HOME


def _path_directories() -> list[str]:
    directories = os.environ.get("PATH", os.defpath).split(":")
    return [place.rstrip("/") for place in directories if place.startswith("/") and place != "/"]


def find_sshd() -> str:
    """Return the absolute path of OpenSSH's server.

    Raises:
        RuntimeUnavailableError: it isn't installed.
    """
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"
    sshd = shutil.which("sshd", path=path)
    if sshd is None:
        raise RuntimeUnavailableError(
            "no sshd on PATH nor in /usr/sbin: apt-get install openssh-server"
        )
    # sshd starts itself anew for each connection and insists on an absolute path.
    return str(Path(sshd).absolute())
