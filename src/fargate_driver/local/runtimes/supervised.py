"""What the runtimes of the built-in image share: start a supervisor, try it, end what is left."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import pwd
import shutil
import signal
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.directory import remove_tree
from fargate_driver.local.image_store.store import Store, users_store
from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes import accounts, login, processes
from fargate_driver.local.runtimes.addresses import Loopback
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    ImageNotFoundError,
    RunningTask,
    RuntimeUnavailableError,
    TaskSpec,
)
from fargate_driver.local.runtimes.cgroups import within
from fargate_driver.local.runtimes.first_process import first_process
from fargate_driver.local.runtimes.images import Image, find
from fargate_driver.local.runtimes.inside import visitor
from fargate_driver.local.runtimes.inside.plan import Bind, Plan, Process
from fargate_driver.local.runtimes.launch import launch, program
from fargate_driver.local.runtimes.task import (
    SupervisedContainer,
    SupervisedTask,
    Visit,
    only_container,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fargate_driver.local.image_store.config import ImageConfig
    from fargate_driver.local.runtimes.accounts import Account

_FALLBACK_HOME = "/job-home"


class SupervisedRuntime:
    """A `Runtime` of the built-in image; the subclasses say in what surroundings.

    Args:
        directory: the embedded Fargate's own; hidden from isolated tasks. Images are looked up
            beside it, in `images`, and in the user's store.
    """

    name: str
    ssh_port = 2222
    shares_builds = False
    runs_images = True
    isolated = True

    def __init__(self, directory: Path) -> None:
        self.ssh_user = _user()
        self._directory = directory.resolve()
        self._tasks: set[SupervisedTask] = set()
        self._addresses = Loopback(self.ssh_port)
        self._stores = [Store(self._directory.parent / "images"), Store(users_store())]

    async def probe(self) -> None:
        """Run a task, log in, run `true`, and end the task.

        Raises:
            RuntimeUnavailableError: that did not work; with the reason.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="probe-", dir=self._directory) as place:
            key = Path(place) / "key"
            task_directory = Path(place) / "task"
            task_directory.mkdir()
            public_key = await login.make_key(key)
            environment = {"SSH_PUBLIC_KEY": public_key}
            container = ContainerSpec("probe", HOST_IMAGE, environment)
            spec = TaskSpec(
                task_id=uuid.uuid4().hex,
                directory=task_directory,
                containers=(container,),
                cpu=256,
                memory=512,
            )
            task = await self.start(spec)
            try:
                await task.start(container.name)
                await login.run_true(key, self.ssh_user, task.address, self.ssh_port)
            except RuntimeUnavailableError as error:
                raise RuntimeUnavailableError(f"{error}{_said(spec.log(container.name))}") from None
            finally:
                await task.stop(0.0)

    async def start(self, spec: TaskSpec) -> RunningTask:
        """Make a task's surroundings, see `Runtime.start`."""
        if not self.runs_images and only_container(spec, self.name).image != HOST_IMAGE:
            raise ImageNotFoundError(
                spec.containers[0].image, f"the {self.name} runtime has only {HOST_IMAGE}"
            )
        with contextlib.ExitStack() as stack:
            images: dict[str, Image] = {}
            for container in spec.containers:
                images[container.name] = find(container.image, self._stores)
                stack.callback(images[container.name].close)
            for volume in spec.volumes:
                (_volumes(spec) / volume).mkdir(mode=0o755, parents=True)
            surroundings = await self._surround(spec, stack)
            ending = stack.pop_all()

        async def begin(name: str) -> SupervisedContainer:
            container = next(one for one in spec.containers if one.name == name)
            return await self._begin(spec, container, images[name], surroundings)

        async def give_back() -> None:
            await asyncio.to_thread(ending.close)
            await asyncio.to_thread(remove_tree, _volumes(spec))
            self._tasks.discard(task)

        task = SupervisedTask(surroundings.address, begin, give_back)
        self._tasks.add(task)
        return task

    async def close(self) -> None:
        """End all tasks."""
        await asyncio.gather(*(task.stop(0.0) for task in list(self._tasks)))

    async def _surround(self, _spec: TaskSpec, stack: contextlib.ExitStack) -> Surroundings:
        """Give a task what it gets of the machine; the stack takes it back."""
        address = self._addresses.take()
        stack.callback(self._addresses.give_back, address)
        return Surroundings(address)

    async def _begin(
        self, spec: TaskSpec, container: ContainerSpec, image: Image, place: Surroundings
    ) -> SupervisedContainer:
        host_name = f"ip-{place.address.replace('.', '-')}.ec2.internal"
        process = None
        if image.stored:
            container = _at(container, place)
            account = self._account(image.stored.root, container, image.config)
            process = first_process(container, image.config, account, host_name)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": _home(),
            **container.environment,
        }
        plan = Plan(
            storage=str(spec.directory.resolve() / f"{container.name}.storage"),
            hidden=str(self._directory),
            address=place.address,
            host_name=host_name,
            port=self.ssh_port,
            sshd=find_sshd(),
            user=self.ssh_user,
            home=_home(),
            path=_path_directories(),
            isolated=self.isolated,
            network=place.network,
            cgroups=[str(one) for one in within(place.cgroups, container.name, container.memory)],
            root=str(image.stored.root) if image.stored else None,
            read_only=container.read_only,
            binds=[
                Bind(str(_volumes(spec).resolve() / one.volume), one.path, one.read_only)
                for one in container.mounts
            ],
            process=process,
            delay=spec.ssh.delay,
            refuses_key=None if math.isinf(spec.ssh.refuses_key) else spec.ssh.refuses_key,
            other_host_key=spec.ssh.other_host_key,
        )
        supervisor = await launch(
            "supervisor",
            plan.dumps(),
            # An image's variables, such as LD_LIBRARY_PATH, are not for the host's programs.
            own_environment() if process else environment,
            spec.log(container.name),
            [] if place.network is None else [place.network],
        )
        return SupervisedContainer(
            supervisor,
            _visitor(process or _session(environment), plan.cgroups)
            if self.isolated
            else lambda _, command: Visit(command, environment),
            serves_ssh="SSH_PUBLIC_KEY" in container.environment,
        )

    def _account(self, root: Path, container: ContainerSpec, config: ImageConfig) -> Account:
        user = config.user if container.user is None else container.user
        try:
            return accounts.find(root, user)
        except accounts.AccountError as error:
            raise RuntimeUnavailableError(str(error)) from None


@dataclass(frozen=True)
class Surroundings:
    """What the containers of a task share."""

    address: str
    network: int | None = None
    """A descriptor of the task's network namespace; None: the host's."""
    cgroups: Sequence[Path] = ()


def _volumes(spec: TaskSpec) -> Path:
    return spec.directory / "volumes"


def _at(container: ContainerSpec, place: Surroundings) -> ContainerSpec:
    """Tell a container's servers where to listen, where all tasks share the host's addresses."""
    if place.network is not None:
        return container
    variables = {"FARGATE_LISTEN_ADDRESS": place.address, **container.environment}
    return replace(container, environment=variables)


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
        return Visit(program("visitor"), own_environment(), order.encode() + b"\n")

    return visit


def own_environment() -> dict[str, str]:
    """Return what the programs around a container get, whatever its own environment is."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _said(log: Path) -> str:
    """Return the end of a container's log, as a remark after an error."""
    with contextlib.suppress(FileNotFoundError):
        lines = log.read_text(errors="replace").splitlines()
        return f" (the server says: {'; '.join(lines[-3:])})" if lines else ""
    return ""


def _user() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return "job"


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
