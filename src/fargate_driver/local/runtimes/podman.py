"""The `podman` runtime: a task is a container of the image that its task definition names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import shutil
import tempfile
import uuid
from pathlib import Path
from urllib.parse import quote

from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes import login
from fargate_driver.local.runtimes.addresses import Links, Loopback
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    ImageNotFoundError,
    RunningTask,
    RuntimeUnavailableError,
    SshFaults,
    TaskSpec,
)
from fargate_driver.local.runtimes.inside.container_plan import ContainerPlan
from fargate_driver.local.runtimes.inside.plan import Link
from fargate_driver.local.runtimes.launch import launch
from fargate_driver.local.runtimes.namespace import NamespaceRuntime
from fargate_driver.local.runtimes.starting import find_sshd
from fargate_driver.local.runtimes.task import (
    SupervisedContainer,
    SupervisedTask,
    Visit,
    only_container,
)

_LABEL = "fargate-local"
# What a container has on Fargate beside podman's own default, see inside/kernel.py.
_CAPABILITIES = "AUDIT_WRITE,MKNOD,NET_RAW"
_MOST_FILES = 65535  # of a process, on Fargate
_CALL_TIMEOUT = 50.0  # seconds
_NO_KEY = "none of the keys is accepted"
# Variables that podman or its helpers read for themselves; there is no secret in them.
_PODMANS = re.compile(
    r"PATH|HOME|USER|TMPDIR|XDG_\w+|DBUS_\w+|LD_\w+|GO(DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)"
    r"|NOTIFY_SOCKET|LISTEN_\w+|CONTAINER_(HOST|SSHKEY|CONNECTION)|_?CONTAINERS_\w+|_OCI_\w+"
    r"|PODMAN_\w+|STORAGE_(DRIVER|OPTS)"
)
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class PodmanRuntime:
    """Containers of images in podman's own storage, started by their own entrypoints.

    For root each has its own IPv4 address, on a /30 shared with the host alone, and no way to the
    internet: as in the `namespace` runtime, which also runs the built-in image. For another user
    it has podman's own network, and an address in 127.64.0.0/10 leads to its SSH server.

    Args:
        directory: the embedded Fargate's own; containers carry it as a label.
    """

    name = "podman"
    ssh_user = "root"
    shares_builds = False
    runs_images = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        # Podman splits filters at commas.
        self._label = f"{_LABEL}={quote(str(self._directory))}"
        self._tasks: set[SupervisedTask] = set()
        self._podman = "podman"
        self._host = NamespaceRuntime(directory) if os.geteuid() == 0 else None
        self.ssh_port = 22 if self._host else 2222
        self._addresses = Loopback(self.ssh_port)
        self._links = Links()

    async def probe(self) -> None:
        """Remove what a killed embedded Fargate left, and run a container, see `Runtime.probe`."""
        podman = shutil.which("podman")
        if podman is None:
            raise RuntimeUnavailableError("podman is not on PATH: apt-get install podman")
        self._podman = str(Path(podman).absolute())
        if re.search("[,:]", str(self._directory)):
            raise RuntimeUnavailableError(
                f"podman takes no paths with a comma or a colon: not in {self._directory}"
            )
        if self._host and shutil.which("ip") is None:
            raise RuntimeUnavailableError("ip is not on PATH: apt-get install iproute2")
        left = await self._call("ps", "--all", "--quiet", "--filter", f"label={self._label}")
        if left:
            await self._call("rm", "--force", "--ignore", "--volumes", *left.split())
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="probe-", dir=self._directory) as place:
            directory = Path(place)
            container = ContainerSpec("probe", "", {})
            spec = TaskSpec(
                task_id=uuid.uuid4().hex,
                directory=directory,
                containers=(container,),
                cpu=256,
                memory=512,
            )
            programs = _host_programs(directory / "root")
            task = await self._prepare(spec, container, [*programs, "sleep", "60"])
            try:
                running = await task.start(container.name)
            finally:
                await task.stop(0.0)
            ended = await running.wait()
            if ended.code not in {128 + 9, 128 + 15}:
                log = spec.log(container.name).read_text(errors="replace")
                said = "; ".join(log.splitlines()[-3:]) or f"status {ended.code}"
                raise RuntimeUnavailableError(f"a trivial container ended by itself: {said}")

    async def start(self, spec: TaskSpec) -> RunningTask:
        """Start a task, see `Runtime.start`."""
        container = only_container(spec, self.name)
        image = container.image
        if image == HOST_IMAGE:
            if self._host is None:
                raise RuntimeUnavailableError(
                    "the built-in image needs root here: name an image of podman's in the task"
                    " definition, or use --runtime user"
                )
            return await self._host.start(spec)
        await self._check_image(image)
        return await self._prepare(spec, container, ["--pull", "never", "--", image])

    async def close(self) -> None:
        """End all tasks."""
        await asyncio.gather(*(task.stop(0.0) for task in list(self._tasks)))
        self._tasks.clear()
        if self._host:
            await self._host.close()

    async def _check_image(self, image: str) -> None:
        try:
            await self._call("image", "exists", "--", image)
        except RuntimeUnavailableError as error:
            # Status 1 means that there is none of this name; 125 is any other failure.
            if str(error).endswith("(status 1)") or "invalid reference format" in str(error):
                raise ImageNotFoundError(
                    image, f"not in podman's storage: podman pull {image}"
                ) from None
            raise

    async def _prepare(
        self, spec: TaskSpec, container: ContainerSpec, program: list[str]
    ) -> RunningTask:
        environment = _environment(container, spec.ssh)
        log = spec.log(container.name)
        plan = ContainerPlan(
            podman=self._podman,
            name=f"{_LABEL}-{spec.task_id}",
            arguments=[
                *("--label", self._label),
                *("--log-driver", "k8s-file", "--log-opt", f"path={log}"),
                # `stop` has its own way to wait; whatever else ends the container does not.
                *("--stop-timeout", "0"),
                *("--cpus", f"{spec.cpu / 1024}"),
                # As in the other tiers, whatever the image's user is.
                *("--tmpfs", "/builds:rw,exec,mode=1777", "--tmpfs", "/cache:rw,exec,mode=1777"),
                *("--memory", f"{spec.memory}m", "--memory-swap", f"{spec.memory}m"),
                *("--cap-add", _CAPABILITIES, "--http-proxy=false"),
                *_limits(),
                *_options(environment),
                *program,
            ],
            environment={
                name: value for name, value in environment.items() if not _PODMANS.fullmatch(name)
            },
            address="",
            port=self.ssh_port,
            link=None,
            delay=spec.ssh.delay,
            other_host_key=await _other_server(spec) if spec.ssh.other_host_key else None,
        )
        if self._host:
            host, address = self._links.take()
            plan = plan._replace(address=address, link=Link(f"fl{spec.task_id[:12]}", host))
        else:
            plan = plan._replace(address=self._addresses.take())
        own = {name: value for name, value in os.environ.items() if _PODMANS.fullmatch(name)}
        entrance = [self._podman, "exec", plan.name]

        async def give_back() -> None:
            self._give_back(plan.address)

        async def begin(_name: str) -> SupervisedContainer:
            supervisor = await launch("container", plan.dumps(), own, log)
            return SupervisedContainer(
                supervisor, lambda _, command: Visit([*entrance, *command], own), serves_ssh=True
            )

        task = SupervisedTask(plan.address, begin, give_back)
        self._tasks.add(task)
        return task

    def _give_back(self, address: str) -> None:
        self._links.give_back(address)
        self._addresses.give_back(address)
        self._tasks = {task for task in self._tasks if task.address != address}

    async def _call(self, *words: str) -> str:
        """Return what podman says.

        Raises:
            RuntimeUnavailableError: it failed; the text is its own, and its status.
        """
        process = await asyncio.create_subprocess_exec(
            self._podman,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                output, errors = await process.communicate()
        except TimeoutError:
            raise RuntimeUnavailableError(
                f"podman {words[0]} is not done after {_CALL_TIMEOUT:.0f} s"
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()
        if process.returncode:
            text = " ".join(errors.decode(errors="replace").split())
            raise RuntimeUnavailableError(
                f"podman {words[0]}: {text or 'failed'} (status {process.returncode})"
            )
        return output.decode()


def _environment(container: ContainerSpec, ssh: SshFaults) -> dict[str, str]:
    """Return the container's variables.

    Raises:
        RuntimeUnavailableError: one of them, or a fault, is not possible here.
    """
    environment = dict(container.environment)
    for name in environment:
        # Podman takes a star at the end for "all that begin like this".
        if not _NAME.fullmatch(name):
            raise RuntimeUnavailableError(
                f"the podman runtime can't pass on a variable of this name: {name!r}"
            )
    if ssh.refuses_key:
        if ssh != SshFaults(ssh.delay, float("inf"), ssh.other_host_key):
            raise RuntimeUnavailableError(
                "the podman runtime can't have an image's server accept a key after a while:"
                " use sshd_refuses_key true, or another --runtime"
            )
        environment["SSH_PUBLIC_KEY"] = _NO_KEY
    return environment


def _options(environment: dict[str, str]) -> list[str]:
    """Return the options for variables: without values, which are in podman's own environment.

    Those that podman reads for itself need theirs: it would take them for its own.
    """
    return [
        word
        for name, value in environment.items()
        for word in ("--env", f"{name}={value}" if _PODMANS.fullmatch(name) else name)
    ]


def _limits() -> list[str]:
    """Return limits that the kernel grants: podman's own default can be above what it has."""
    most_processes = int(Path("/proc/sys/kernel/pid_max").read_text())
    files, processes = (
        min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        for wanted, (_, hard) in (
            (_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)),
            (most_processes, resource.getrlimit(resource.RLIMIT_NPROC)),
        )
    )
    return ["--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"]


async def _other_server(spec: TaskSpec) -> list[str]:
    """Return the command of a server on the host that shows a key of its own and lets nobody in."""
    if os.geteuid() == 0:
        # Debian's sshd wants it and expects the service manager to make it.
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    key = spec.directory / "other_host_key"
    await login.make_key(key)
    config = spec.directory / "other_host_key.conf"
    config.write_text(f"""\
HostKey "{key}"
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
""")
    return [find_sshd(), "-i", "-e", "-f", str(config)]


def _host_programs(root: Path) -> list[str]:
    """Return the options for a container that has the host's programs and nothing else."""
    root.mkdir()
    options = []
    for name in ("bin", "lib", "lib32", "lib64", "usr"):
        place = Path("/", name)
        if place.is_symlink():
            (root / name).symlink_to(place.readlink())
        elif place.is_dir():
            options += ["--volume", f"{place}:{place}:ro"]
    return [*options, "--rootfs", str(root)]
