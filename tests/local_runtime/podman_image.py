"""A job image for the tests of podman: this machine's own sshd, shell and tools, imported."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRYPOINT = Path(__file__).parents[2] / "images" / "job" / "entrypoint.sh"
PROGRAMS = (
    *("tini", "sshd", "ssh-keygen", "sh", "bash", "env", "cat", "ls", "id", "mkdir", "sleep"),
    *("head", "tail", "wc", "setsid", "cut"),
)


def call(*words: str) -> str:
    """Return what podman says."""
    done = subprocess.run(["podman", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def limits_work() -> bool:
    """Whether podman can limit memory here: not for an ordinary user with cgroups of version 1."""
    info = call("info", "--format", "{{.Host.CgroupsVersion}} {{.Host.Security.Rootless}}")
    return info != "v1 true"


@contextmanager
def imported() -> Iterator[str]:
    """Import the image under a name of its own; it is removed at the end."""
    name = f"localhost/fargate-test-{uuid.uuid4().hex[:12]}:1"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _fill(tar)
    command = ["podman", "import", "--quiet"]
    command += ["--change", 'ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/entrypoint"]']
    done = subprocess.run(
        [*command, "-", name], input=archive.getvalue(), capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"podman import does not work here: {done.stderr.decode().strip()}")
    try:
        yield name
    finally:
        call("rmi", name)


def _fill(tar: tarfile.TarFile) -> None:
    for link, target in (
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("var/run", "/run"),
    ):
        _link(tar, link, target)
    needed: set[Path] = set()
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if found is None:
            pytest.skip(f"{name} is not installed, which the test image needs")
        needed.add(Path(found))
    listed = subprocess.run(
        ["ldd", *map(str, needed)], capture_output=True, text=True, check=False
    ).stdout
    needed |= {Path(word) for word in listed.split() if word.startswith("/") and word[-1] != ":"}
    for file in needed:
        _file(tar, str(_merged(file)), file.read_bytes(), 0o755)
    _file(tar, "usr/local/bin/entrypoint", ENTRYPOINT.read_bytes(), 0o755)
    _file(tar, "usr/local/bin/podman-test-image", b"", 0o644)
    _file(tar, "etc/passwd", b"root:x:0:0::/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/bin/sh\n")
    _file(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\ntty:x:5:\n")
    _file(tar, "etc/shadow", b"root:*:19000:0:99999:7:::\n", 0o600)
    _file(tar, "etc/nsswitch.conf", b"passwd: files\ngroup: files\nshadow: files\n")
    _file(tar, "etc/ssh/sshd_config", b"UsePAM no\n")
    for directory, mode in (("root", 0o700), ("tmp", 0o1777), ("run", 0o755), ("proc", 0o555)):
        _directory(tar, directory, mode)


def _merged(file: Path) -> Path:
    """Return where a file goes in an image whose /bin and /lib are links into /usr."""
    parts = file.parts[1:]
    return Path(*parts) if parts[0] == "usr" else Path("usr", *parts)


def _file(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _directory(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)
