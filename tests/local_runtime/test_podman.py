"""Containers of a real job image. The image comes from the machine: podman imports a tar of it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import sys
import tempfile
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes import login
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    Exit,
    ImageNotFoundError,
    RuntimeUnavailableError,
    SshFaults,
    TaskSpec,
)
from fargate_driver.local.runtimes.choice import choose
from fargate_driver.local.runtimes.podman import PodmanRuntime
from local_runtime import podman_image
from local_runtime.runtime_lab import (
    Lab,
    StartedTask,
    end,
    processes_with,
    start,
    task_of,
    token,
    until,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

pytestmark = [
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman"),
    # All of it by one process, which then imports the image once.
    pytest.mark.xdist_group("podman"),
]
LOOSE = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with podman_image.imported() as name:
        yield name


class PodmanLab(Lab):
    """A podman runtime, and an image for its tasks."""

    image: str

    async def start(
        self,
        environment: Mapping[str, str] | None = None,
        ssh: SshFaults = SshFaults(),  # noqa: B008  frozen
        memory: int = 512,
    ) -> StartedTask:
        """Start a task of the image."""
        task_id = uuid.uuid4().hex
        place = self.directory / task_id
        place.mkdir()
        variables = {"SSH_PUBLIC_KEY": self.public_key, **(environment or {})}
        container = ContainerSpec("ci-coordinator", self.image, variables)
        return await start(
            self.runtime,
            TaskSpec(
                task_id=task_id,
                directory=place,
                containers=(container,),
                cpu=1024,
                memory=memory,
                ssh=ssh,
            ),
        )


@asynccontextmanager
async def lab(image: str) -> AsyncIterator[PodmanLab]:
    """Make a runtime; at the end none of its containers may be left."""
    place = Path(tempfile.mkdtemp(prefix="podman-lab-"))
    runtime = PodmanRuntime(place / "local")
    (place / "local").mkdir()
    try:
        here = PodmanLab(
            runtime, place / "local", place / "key", await login.make_key(place / "key")
        )
        here.image = image
        yield here
    finally:
        await runtime.close()
        left = containers(place / "local")
        await until(lambda: not writers(place / "local"))
        shutil.rmtree(place)
    assert left == []


def containers(directory: Path) -> list[str]:
    return podman_image.call(
        *("ps", "--all", "--quiet", "--filter", f"label=fargate-local={directory}")
    ).split()


def writers(directory: Path) -> list[Path]:
    """Return the processes whose errors go to a file in a directory."""
    found = []
    for errors in Path("/proc").glob("[0-9]*/fd/2"):
        with contextlib.suppress(OSError):
            if errors.readlink().is_relative_to(directory):
                found.append(errors)
    return found


def test_runs_the_images_own_entrypoint(image: str) -> None:
    values = {
        "QUOTES": "a'b\"c $HOME `x`",
        "LINES": "one\ntwo\n",
        "EMPTY": "",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/my tools",
        "HOME": "/root",
        "CONTAINERS_CONF": "/no/such",
        "SSH_AUTH": "--privileged",
    }

    async def story() -> None:
        async with lab(image) as here:
            await here.runtime.probe()
            assert not containers(here.directory)
            task = await here.start(values)
            code, output, errors = await here.run(
                task, "cat /proc/1/environ; ls -d /usr/local/bin/podman-test-image; id -un"
            )
            assert code == 0, errors
            variables = dict(line.split("=", 1) for line in output.split("\0") if "=" in line)
            assert values.items() <= variables.items()
            assert output.endswith("/usr/local/bin/podman-test-image\nroot\n")
            await task.stop(10)
            # OpenSSH's own exit status on SIGTERM, which tini passes on.
            assert (await task.wait()).code in {0, 143, 255}
            await task.stop(0)  # again, after the end

    asyncio.run(story())


def test_ends_with_its_entrypoint_and_with_everything_in_it(image: str) -> None:
    async def story() -> None:
        async with lab(image) as here:
            # The entrypoint refuses to go on without a key.
            task = await here.start({"SSH_PUBLIC_KEY": ""})
            assert await task.wait() == Exit(64)
            task = await here.start()
            mark = token()
            script = f"setsid sleep {mark} >/dev/null 2>&1 & trap '' TERM; sleep {mark}"
            client = await here.client(task, script)
            await until(lambda: len(processes_with(f"sleep\0{mark}")) == 2)
            await task.stop(0)
            assert set(processes_with(mark)) <= {client.pid}
            # As the kernel may get to either signal first.
            assert (await task.wait()).code in {0, 137, 143, 255}
            await end(client)

    asyncio.run(story())


def test_limits_memory(image: str) -> None:
    async def story() -> None:
        async with lab(image) as here:
            task = await here.start(memory=64)
            eat = "head -c 256M /dev/zero | tail -c 255M | wc -c; echo ${PIPESTATUS[1]}"
            _, output, _ = await here.run(task, eat)
            await task.stop(10)
            ended = await task.wait()
            if podman_image.limits_work():
                assert output == "0\n137\n"
            # The script's process was killed, the container lived.
            assert not ended.out_of_memory

    asyncio.run(story())


def test_unknown_images_and_variables(image: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with lab(image) as here:

            async def refused(name: str, variables: Mapping[str, str]) -> None:
                container = ContainerSpec("c", name, variables)
                await start(here.runtime, task_of(container, tmp_path))

            with pytest.raises(ImageNotFoundError, match="podman pull no-such-image:3"):
                await refused("no-such-image:3", {})
            for name in ("--privileged", "Not A Name"):
                with pytest.raises(ImageNotFoundError, match=name):
                    await refused(name, {})
            with pytest.raises(RuntimeUnavailableError, match=r"'HO\*'"):
                await refused(image, {"HO*": "x"})

    asyncio.run(story())


@pytest.mark.root
def test_the_built_in_image_for_root(image: str) -> None:
    async def story() -> None:
        async with lab(image) as here:
            here.image = HOST_IMAGE
            try:
                task = await here.start()
            except RuntimeUnavailableError as error:
                pytest.skip(f"the namespace runtime does not work here: {error}")
            code, _, errors = await here.run(task, f"test -x {sys.executable}")
            assert code == 0, errors

    asyncio.run(story())


def test_another_host_key(image: str, tmp_path: Path) -> None:
    known = ("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={tmp_path}/k")

    async def story() -> None:
        async with lab(image) as here:
            task = await here.start(ssh=SshFaults(delay=0.5, other_host_key=True))
            code, output, errors = await here.run(task, "cat /proc/1/comm", options=known)
            assert (code, output) == (0, "tini\n"), errors
            code, output, errors = await here.run(task, "echo sent", options=known)
            assert (code, output) == (255, "")
            assert "Host key verification failed" in errors
            # That server is the host's: it lets nobody in.
            code, output, errors = await here.run(task, "echo sent", options=LOOSE)
            assert (code, output) == (255, "")
            assert "Permission denied" in errors

    asyncio.run(story())


def test_refuses_keys_for_ever_or_not_at_all(image: str) -> None:
    async def story() -> None:
        async with lab(image) as here:
            task = await here.start(ssh=SshFaults(refuses_key=math.inf))
            code, _, errors = await here.run(task, "true")
            assert (code, "Permission denied" in errors) == (255, True)
            with pytest.raises(RuntimeUnavailableError, match="sshd_refuses_key true"):
                await here.start(ssh=SshFaults(refuses_key=2))

    asyncio.run(story())


@pytest.mark.parametrize("front", [False, True])
def test_blackhole_and_the_scripts_largest_process(image: str, *, front: bool) -> None:
    async def story() -> None:
        async with lab(image) as here:
            task = await here.start(ssh=SshFaults(delay=0.1 if front else 0))
            mark = token()
            client = await here.client(task, f"bash -ec 'echo begun; sleep {mark}; echo never'")
            assert client.stdout
            assert await client.stdout.readline() == b"begun\n"
            await until(lambda: processes_with(f"sleep\0{mark}"))
            await task.kill_largest_script_process()
            assert await client.stdout.read() == b""
            assert await client.wait() == 137
            client = await here.client(task, f"echo begun; sleep 1 && exec sleep {mark}")
            assert client.stdout
            assert await client.stdout.readline() == b"begun\n"
            await task.blackhole()
            reader, writer = await asyncio.open_connection(task.address, here.runtime.ssh_port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.5)
            # The script goes on.
            await until(lambda: processes_with(f"sleep\0{mark}"))
            assert client.returncode is None
            await task.stop(0)
            assert not [pid for pid in processes_with(mark) if pid != client.pid]
            writer.close()
            await end(client)

    asyncio.run(story())


def test_nothing_outlives_the_embedded_fargate(image: str) -> None:
    program = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from local_runtime.test_podman import lab

async def main():
    async with lab({image!r}) as here:
        client = await here.client(await here.start(), sys.argv[1])
        print(here.directory, flush=True)
        await client.wait()

asyncio.run(main())
"""

    async def story() -> None:
        mark = token()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, f"sleep {mark}"), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout
        directory = Path((await process.stdout.readline()).decode().strip())
        await until(lambda: processes_with(f"sleep\0{mark}"))
        process.kill()
        await process.communicate()
        await until(lambda: not processes_with(mark))
        await until(lambda: not containers(directory))
        await until(lambda: not processes_with(str(directory)))
        await until(lambda: not writers(directory))
        shutil.rmtree(directory.parent)

    asyncio.run(story())


def test_removes_what_a_killed_supervisor_left(image: str, tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "mine-not"
    for directory in (mine, others):
        podman_image.call("create", "--label", f"fargate-local={directory}", image)
    try:
        notes: list[str] = []
        runtime = asyncio.run(choose("podman", mine, notes.append))
        assert (runtime.name, notes) == ("podman", ["runtime: podman"])
        assert (len(containers(mine)), len(containers(others))) == (0, 1)
    finally:
        podman_image.call("rm", "--force", *containers(others))


def test_a_path_that_podman_would_split(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no paths with a comma"):
        asyncio.run(PodmanRuntime(tmp_path / "a,b").probe())


def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    podman = tools / "podman"
    podman.write_text("#!/bin/sh\necho 'Error: something  is\nmissing' >&2; exit 125\n")
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    said = r"does not work: podman ps: Error: something is missing \(status 125\)"
    with pytest.raises(RuntimeUnavailableError, match=said):
        asyncio.run(choose("podman", tmp_path / "d", print))
