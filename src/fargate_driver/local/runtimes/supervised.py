"""What the runtimes of the built-in image share: start a supervisor, try it, end what is left."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import pwd
import shutil
import tempfile
import uuid
from pathlib import Path

from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes import login, processes
from fargate_driver.local.runtimes.addresses import Loopback
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    ImageNotFoundError,
    RunningTask,
    RuntimeUnavailableError,
    TaskSpec,
)
from fargate_driver.local.runtimes.inside.plan import Plan
from fargate_driver.local.runtimes.launch import launch
from fargate_driver.local.runtimes.task import (
    SupervisedContainer,
    SupervisedTask,
    only_container,
)

_FALLBACK_HOME = "/job-home"


class SupervisedRuntime:
    """A `Runtime` of the built-in image; the subclasses say in what surroundings.

    Args:
        directory: the embedded Fargate's own; hidden from isolated tasks.
    """

    name: str
    ssh_port = 2222
    shares_builds = False
    runs_images = False
    isolated = True

    def __init__(self, directory: Path) -> None:
        self.ssh_user = _user()
        self._directory = directory.resolve()
        self._tasks: set[SupervisedTask] = set()
        self._addresses = Loopback(self.ssh_port)

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
        """Start a task, see `Runtime.start`."""
        container = only_container(spec, self.name)
        if container.image != HOST_IMAGE:
            raise ImageNotFoundError(container.image, f"not known here; there is {HOST_IMAGE}")
        sshd = find_sshd()
        plan = Plan(
            directory=str(spec.directory.resolve()),
            hidden=str(self._directory),
            address="",
            port=self.ssh_port,
            sshd=sshd,
            user=self.ssh_user,
            home=_home(),
            path=_path_directories(),
            isolated=self.isolated,
            link=None,
            cgroups=[],
            delay=spec.ssh.delay,
            refuses_key=None if math.isinf(spec.ssh.refuses_key) else spec.ssh.refuses_key,
            other_host_key=spec.ssh.other_host_key,
        )
        plan = self._place(plan, spec)

        async def begin() -> SupervisedContainer:
            return await self._begin(plan, container, spec.log(container.name))

        task = SupervisedTask(plan.address, begin, lambda: self._ended(plan))
        self._tasks.add(task)
        return task

    async def close(self) -> None:
        """End all tasks."""
        await asyncio.gather(*(task.stop(0.0) for task in list(self._tasks)))
        self._tasks.clear()

    def _place(self, plan: Plan, _spec: TaskSpec) -> Plan:
        """Give the task its address and what else it gets of the machine."""
        return plan._replace(address=self._addresses.take())

    def _ended(self, plan: Plan) -> None:
        """Take back what `_place` gave."""
        self._addresses.give_back(plan.address)
        self._tasks = {task for task in self._tasks if task.address != plan.address}

    async def _begin(self, plan: Plan, container: ContainerSpec, log: Path) -> SupervisedContainer:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": plan.home,
            **container.environment,
        }
        supervisor = await launch("supervisor", plan.dumps(), environment, log)
        entrance = _entrance if self.isolated else _no_entrance
        return SupervisedContainer(supervisor, entrance, environment, lambda: self._ended(plan))


def _entrance(supervisor: int) -> list[str]:
    """Return the command that enters the namespaces of a supervisor's init."""
    below = processes.descendants(supervisor).values()
    init = next((one.pid for one in below if one.parent == supervisor), supervisor)
    return ["nsenter", "--target", str(init), "--all", "--preserve-credentials"]


def _no_entrance(_supervisor: int) -> list[str]:
    return []


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
