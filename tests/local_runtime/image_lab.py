"""Images made of this machine's own busybox or shell, and tasks of them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.local.image_store.store import Store
from fargate_driver.local.images import HELPER_IMAGE
from fargate_driver.local.runtimes.base import ContainerSpec, Mount, TaskSpec
from local_images.archive_makers import OciLayout, archive, entry

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.base import RunningTask
    from local_runtime.runtime_lab import Lab

PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1234:1235::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1235:\nextra:x:77:x,app\n"
APPLETS = (
    *("cat", "chmod", "echo", "env", "false", "head", "hostname", "httpd", "id", "kill", "ln"),
    *("ls", "mkdir", "mknod", "mount", "nc", "ps", "pwd", "readlink", "rm", "sh", "sleep", "stat"),
    *("su", "test", "touch", "tr", "true", "wc", "wget"),
)


def busybox_layer() -> bytes:
    """Return an archive with a static busybox and little else."""
    busybox = Path("/bin/busybox")
    if not busybox.exists() or b"interpreter" in _file(busybox):
        pytest.skip("no static busybox: apt-get install busybox-static")
    return archive(
        (entry("bin/busybox"), busybox.read_bytes()),
        *(entry(f"bin/{applet}", type=b"2", linkname="busybox") for applet in APPLETS),
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        (entry("etc/script", mode=0o755), "#!/no/such/interpreter\n"),
        entry("etc/resolv.conf", type=b"2", linkname="../run/nowhere/resolv.conf"),
        # A link that would lead a careless runtime to the host's files.
        entry("sys", type=b"2", linkname="/kernel"),
        entry("kernel", type=b"5"),
    )


def import_busybox(here: Lab, name: str = "busybox", **config: Any) -> None:
    """Import an image of `busybox_layer`."""
    layout = OciLayout(here.directory.parent / uuid.uuid4().hex)
    layout.index(layout.image(busybox_layer(), **config))
    Store(here.directory.parent / "images").add(name, layout.directory)
    shutil.rmtree(layout.directory)


def _file(path: Path) -> bytes:
    return subprocess.run(["file", "-L", str(path)], capture_output=True, check=False).stdout


def import_glibc(here: Lab, name: str, *programs: str) -> None:
    """Import an image with programs of this machine and the libraries that they need."""
    found = [shutil.which(program) for program in programs]
    paths = [path for path in found if path]
    listed = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/") and word[-1] != ":"}
    layer = archive(
        *((entry(path[1:]), Path(path).read_bytes()) for path in (*paths, *sorted(libraries))),
        ("etc/passwd", PASSWD),
    )
    file = here.directory.parent / "glibc.tar"
    file.write_bytes(layer)
    Store(here.directory.parent / "images").add(name, file)


def task(
    here: Lab, *containers: ContainerSpec, volumes: tuple[str, ...] = (), **more: Any
) -> TaskSpec:
    """Return a task."""
    task_id = uuid.uuid4().hex
    directory = here.directory / task_id
    directory.mkdir()
    return TaskSpec(
        **{
            "task_id": task_id,
            "directory": directory,
            "containers": containers,
            "cpu": 256,
            "memory": 512,
            "volumes": volumes,
            **more,
        }
    )


def shell(script: str, name: str = "c", image: str = "busybox", **more: Any) -> ContainerSpec:
    """Return a container that runs a script."""
    more.setdefault("environment", {})
    return ContainerSpec(name, image, entry_point=("/bin/sh", "-c", script), **more)


def job(here: Lab, image: str, **more: Any) -> TaskSpec:
    """Return a task as image mode has it: the tools come to the job's image by a volume."""
    environment = {"SSH_PUBLIC_KEY": here.public_key}
    shared = (Mount("builds", "/builds"), Mount("cache", "/cache"))
    injector = ContainerSpec(
        *("injector", HELPER_IMAGE, {}),
        entry_point=("/opt/fargate/inject", "/mnt/fargate", "/builds", "/cache"),
        mounts=(Mount("tools", "/mnt/fargate"), *shared),
    )
    helper = ContainerSpec(
        *("helper", HELPER_IMAGE, environment),
        entry_point=("/opt/fargate/init", "--port", "2223"),
        user="0",
        mounts=shared,
    )
    own = ContainerSpec(
        *("job", image, environment),
        entry_point=("/opt/fargate/init", "--port", "2222", "--hosts", "db,postgres"),
        mounts=(Mount("tools", "/opt/fargate", read_only=True), *shared),
    )
    return task(here, injector, helper, own, volumes=("tools", "builds", "cache"), **more)


async def begin(here: Lab, spec: TaskSpec) -> RunningTask:
    """Start the containers of a job, once the injector is done."""
    running = await here.runtime.start(spec)
    try:
        injector = await running.start("injector")
        async with asyncio.timeout(30):
            ended = await injector.wait()
        assert ended.code == 0, spec.log("injector").read_text()
        for name in ("helper", "job"):
            await running.start(name)
    except BaseException:
        await running.stop(0)
        raise
    return running


async def ssh(
    here: Lab, address: str, port: int, command: str, *options: str
) -> tuple[int | None, str, str]:
    """Run a command by SSH, once something listens; return exit status, stdout and stderr."""
    return await ssh_with(here.key, address, port, command, *options)


async def ssh_with(
    key: Path, address: str, port: int, command: str, *options: str
) -> tuple[int | None, str, str]:
    """Run a command by SSH with a key, see `ssh`."""
    await listening(address, port)
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-i", str(key), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
        *(options or ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")),
        *("-l", "job", "-p", str(port), address, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def listening(address: str, port: int) -> None:
    """Wait until something listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def result(here: Lab, spec: TaskSpec) -> tuple[int, str]:
    """Run a task's only container; return exit code and output."""
    running = await here.runtime.start(spec)
    try:
        container = await running.start(spec.containers[0].name)
        code = (await container.wait()).code
    finally:
        await running.stop(0)
    return code, spec.log(spec.containers[0].name).read_text()
