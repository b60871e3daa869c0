"""What the runtimes of the built-in image share: start a supervisor, try it, end what is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import tempfile
import uuid
from pathlib import Path

from fargate_driver.local.directory import remove_tree
from fargate_driver.local.image_store.store import stores_of
from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes import login
from fargate_driver.local.runtimes.addresses import Loopback
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    ImageNotFoundError,
    RunningTask,
    RuntimeUnavailableError,
    TaskSpec,
)
from fargate_driver.local.runtimes.images import Image, find
from fargate_driver.local.runtimes.inside.plan import Inner
from fargate_driver.local.runtimes.starting import Host, Surroundings, begin, volumes
from fargate_driver.local.runtimes.task import SupervisedContainer, SupervisedTask, only_container


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
        self._stores = stores_of(self._directory.parent)

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
                said = _said(spec.log(container.name), str(error))
                raise RuntimeUnavailableError(f"{error}{said}") from None
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
                # In a thread: the first one to need the tools waits for their build.
                image = await asyncio.to_thread(find, container.image, self._stores)
                stack.callback(image.close)
                images[container.name] = image
            for volume in spec.volumes:
                (volumes(spec) / volume).mkdir(mode=0o755, parents=True)
            place = await self._surround(spec, stack)
            ending = stack.pop_all()
        host = Host(self.ssh_user, self.ssh_port, self._directory, self.isolated)

        async def start(name: str) -> SupervisedContainer:
            container = next(one for one in spec.containers if one.name == name)
            return await begin(host, spec, container, images[name], place)

        async def give_back() -> None:
            await asyncio.to_thread(ending.close)
            await asyncio.to_thread(remove_tree, volumes(spec))
            self._tasks.discard(task)

        task = SupervisedTask(place.address, start, give_back)
        self._tasks.add(task)
        return task

    async def close(self) -> None:
        """End all tasks."""
        await asyncio.gather(*(task.stop(0.0) for task in list(self._tasks)))

    async def _surround(self, spec: TaskSpec, stack: contextlib.ExitStack) -> Surroundings:
        """Give a task what it gets of the machine; the stack takes it back."""

        def take() -> str:
            address = self._addresses.take()
            stack.callback(self._addresses.give_back, address)
            return address

        faulty = spec.containers if spec.ssh.other_host_key else ()
        return Surroundings(take(), inner={one.name: Inner(take(), take()) for one in faulty})


def _said(log: Path, error: str) -> str:
    """Return the end of a container's log, as a remark after an error that doesn't quote it."""
    with contextlib.suppress(FileNotFoundError):
        lines = [one for one in log.read_text(errors="replace").splitlines() if one not in error]
        return f" (the server says: {'; '.join(lines[-3:])})" if lines else ""
    return ""


def _user() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return "job"
