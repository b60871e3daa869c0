"""The tiers for ordinary users, tried as one where the tests themselves run as root."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fargate_driver.local.runtimes.base import RuntimeUnavailableError
from fargate_driver.local.runtimes.choice import choose

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from fargate_driver.local.images import HOST_IMAGE
from fargate_driver.local.runtimes.base import ContainerSpec, TaskSpec
from fargate_driver.local.runtimes.choice import choose
from fargate_driver.local.runtimes.login import make_key, run_true

SCRIPT = '''
set -e
id -un; echo "$HOME"; cat /proc/1/environ >/dev/null; tty
mkdir -p /builds/a/b /cache/c; touch /builds/a/b/c ~/file; chmod 0 /builds/a/b /builds/a
grep '^Cap\\(Prm\\|Eff\\|Bnd\\)' /proc/self/status
(echo x >>/etc/hostname) 2>/dev/null || echo refused
'''

async def main():
    home = Path(os.environ["HOME"])
    runtime = await choose("auto", home / "local", print)
    key = await make_key(home / "key")
    task_directory = home / "local" / "task"
    task_directory.mkdir()
    container = ContainerSpec("c", HOST_IMAGE, {"SSH_PUBLIC_KEY": key})
    task = await runtime.start(
        TaskSpec(
            task_id="0" * 32, directory=task_directory, containers=(container,), cpu=256, memory=512
        )
    )
    running = await task.start("c")
    await run_true(home / "key", runtime.ssh_user, task.address, runtime.ssh_port)
    client = await asyncio.create_subprocess_exec(
        "ssh", "-F", "none", "-tt", "-i", str(home / "key"), "-p", "2222", "-l", runtime.ssh_user,
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "LogLevel=ERROR", task.address, SCRIPT, stdin=asyncio.subprocess.DEVNULL,
    )
    await client.wait()
    await task.stop(10)
    print(await running.wait(), [path.name for path in task_directory.iterdir()])
    await runtime.close()

asyncio.run(main())
"""


IMAGES = """
import asyncio, os, sys, tarfile
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from fargate_driver.local.image_store.store import Store
from fargate_driver.local.runtimes.base import ContainerSpec, Mount, TaskSpec
from fargate_driver.local.runtimes.choice import choose

SCRIPT = "id -u; stat -c %u /bin/busybox /v; touch /v/$(id -u) /x && ls /v; hostname | cut -c 1-6"

async def main():
    home = Path(os.environ["HOME"])
    with tarfile.open(home / "image.tar", "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for applet in ("cut", "hostname", "id", "ls", "sh", "stat", "touch"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    Store(home / "images").add("busybox", home / "image.tar")
    runtime = await choose("auto", home / "local", print)
    directory = home / "local" / "task"
    directory.mkdir()
    containers = tuple(
        ContainerSpec(
            f"as-{user}", "busybox", {}, ("/bin/sh", "-c", SCRIPT), user=user,
            mounts=(Mount("v", "/v"),),
        )
        for user in ("0", "1234")
    )
    spec = TaskSpec(
        task_id="0" * 32, directory=directory, containers=containers, cpu=256, memory=512,
        volumes=("v",),
    )
    task = await runtime.start(spec)
    for one in containers:
        container = await task.start(one.name)
        print((await container.wait()).code, spec.log(one.name).read_text().split())
    await task.stop(0)
    print(sorted(path.suffix for path in directory.iterdir()))
    await runtime.close()

asyncio.run(main())
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_as_nobody() -> None:
    lines = _as_nobody(PROGRAM)
    assert lines[1] == "nobody"
    assert lines[2].endswith("/home")
    assert lines[3] == "/dev/pts/0"
    assert [line.split()[1].strip("0") for line in lines[4:7]] == [""] * 3
    assert "refused" in lines[-2]
    assert lines[-1] == "Exit(code=143, out_of_memory=False) ['c.log']"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_images_as_nobody() -> None:
    if not Path("/bin/busybox").exists():
        pytest.skip("no static busybox: apt-get install busybox-static")
    # Whoever the container runs as, all files are that user's.
    assert _as_nobody(IMAGES)[1:] == [
        "0 ['0', '0', '0', '0', 'ip-127']",
        "0 ['1234', '1234', '1234', '0', '1234', 'ip-127']",
        "['.log', '.log']",
    ]


def _as_nobody(program: str) -> list[str]:
    """Run a program as another user; return its lines, the first of which names the runtime."""
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("there is no /usr/bin/python3 for other users")

    place = Path(tempfile.mkdtemp(prefix="runtime-lab-"))
    source = place / "source"
    home = place / "home"
    package = Path(__file__).parents[2] / "src" / "fargate_driver"
    shutil.copytree(package, source / "fargate_driver")
    home.mkdir()
    place.chmod(0o755)
    os.chown(home, 65534, 65534)
    done = subprocess.run(
        [
            *("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"),
            *(str(python), "-u", "-B", "-c", program, str(source)),
        ],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    shutil.rmtree(place)
    lines = done.stdout.replace("\r", "").splitlines()
    if "RuntimeUnavailableError" in lines[-1]:
        pytest.skip(lines[-1])  # neither namespaces nor a login shell
    assert done.returncode == 0, lines
    if lines[0] != "runtime: user":
        pytest.skip(lines[0])
    return lines


@pytest.mark.parametrize("name", ["auto", "process"])
def test_choice_runs_what_it_returns(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        notes: list[str] = []
        runtime = await choose(name, tmp_path / "local", notes.append)
        assert len(notes) == 1
        assert notes[0].startswith(f"runtime: {runtime.name}")
        assert list((tmp_path / "local").iterdir()) == []
        await runtime.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("podman", "podman is not on PATH: apt-get install podman"),
        ("docker", "there is no runtime 'docker'"),
    ],
)
def test_choice_says_what_there_is_not(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeUnavailableError, match=text):
        asyncio.run(choose(name, tmp_path, print))


def test_without_sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(RuntimeUnavailableError, match="apt-get install openssh-server"):
        asyncio.run(choose("auto", tmp_path, print))


_IN_A_CHROOT = """
import os, sys
from fargate_driver.local.runtimes.inside import kernel
os.chroot(sys.argv[1])
kernel.make_mounts_private()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change its root")
def test_a_chroot_is_told_as_the_cause(tmp_path: Path) -> None:
    words = ["unshare", "--mount", sys.executable, "-c", _IN_A_CHROOT, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "make mounts private: / is no mount point, as in a chroot" in done.stderr
