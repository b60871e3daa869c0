"""Images of every kind, made here and imported once for all workers of a test run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.local.image_store.store import Store
from local_images.archive_makers import archive, entry

if TYPE_CHECKING:
    from collections.abc import Callable

BUSYBOX = Path("/bin/busybox")
ODD_VARIABLE = 'it\'s two\nlines of "$HOME" \\ end'
ODD_UID = 1234
_DEBIAN = "http://deb.debian.org/debian"
_DEBIAN_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_UNNEEDED = ("var/cache/apt", "var/lib/apt", "usr/share/doc", "usr/share/locale", "usr/share/man")
_PROGRAM = '#include <stdio.h>\nint main(void) { puts("dynamic musl"); }\n'


def add(store: Path, kind: str) -> None:
    """Import an image under a name of its own, unless another worker has.

    Args:
        store: The directory of the store.
        kind: A key of `NAMES`.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with (store.parent / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(image.name == NAMES[kind] for image in Store(store).images()):
            return
        path = store.parent / kind
        _MAKERS[kind](path)
        Store(store).add(NAMES[kind], path)
        (path.unlink if path.is_file() else lambda: shutil.rmtree(path))()


def _debian(root: Path) -> None:
    """A Debian as debootstrap unpacks it; configuring it would take twice as long."""
    if not shutil.which("debootstrap"):
        pytest.skip("no debootstrap: apt-get install debootstrap")
    lines = _DEBIAN_SOURCES.read_text().splitlines() if _DEBIAN_SOURCES.exists() else []
    mirror = next((line.split()[1] for line in lines if line.startswith("URIs:")), _DEBIAN)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", "--foreign", "bookworm", root, mirror],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(root, ignore_errors=True)
        pytest.skip(f"debootstrap: {(done.stdout + done.stderr)[-300:]}")
    for name in _UNNEEDED:
        shutil.rmtree(root / name)


def _busybox(root: Path) -> None:
    """Busybox with a link for each of its programs, and a /tmp."""
    _alone(root)
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    for applet in set(listed.stdout.split()) - {"busybox"}:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def _alone(root: Path) -> None:
    """/bin/busybox and nothing else at all."""
    if not BUSYBOX.exists():
        pytest.skip("no busybox: apt-get install busybox-static")
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")


def _musl(root: Path) -> None:
    """Busybox, and a program that needs musl's loader; there is no glibc."""
    loader = next(Path("/lib").glob("ld-musl-*.so.1"), None)
    if not loader or not shutil.which("musl-gcc"):
        pytest.skip("no musl: apt-get install musl musl-tools")
    _busybox(root)
    (root / "proc").symlink_to("/proc")  # as debootstrap in a container has it
    (root / "lib").mkdir()
    shutil.copy(loader.resolve(), root / "lib" / loader.name)
    program = root / "bin" / "hello"
    subprocess.run(
        ["musl-gcc", "-x", "c", "-", "-o", program], input=_PROGRAM, text=True, check=True
    )


def _odd(file: Path) -> None:
    """A user that isn't root, no home, no /tmp, another PATH, an entrypoint that fails."""
    applets = (
        "cat",
        "chmod",
        "echo",
        "env",
        "grep",
        "head",
        "id",
        "ls",
        "mkdir",
        "rm",
        "sh",
        "sleep",
        "stat",
        "tr",
        "true",
        "wget",
    )
    _docker_archive(
        file,
        archive(
            entry("odd/programs/", type=b"5"),
            (entry("odd/programs/busybox"), BUSYBOX.read_bytes()),
            *(entry(f"odd/programs/{applet}", type=b"2", linkname="busybox") for applet in applets),
            (entry("entrypoint"), "#!/odd/programs/sh\nexit 9\n"),
            entry("work/", type=b"5"),
        ),
        User=str(ODD_UID),
        Env=[
            "PATH=/odd/programs",
            f"ODD={ODD_VARIABLE}",
            "LANG=xx_YY.UTF-8",
            "a.b=c",
            "HOME=/missing",
            "TMPDIR=/missing/tmp",
        ],
        WorkingDir="/work",
        Entrypoint=["/entrypoint"],
        Cmd=["ignored"],
    )


def _service(file: Path) -> None:
    """A web server at $PORT that serves $GREETING and $OWN; or it ends with $DIE.

    With $AFTER that waits until there is a file of this name.
    """
    script = (
        'while [ -n "$AFTER" ] && [ ! -e "$AFTER" ]; do sleep 0.1; done;'
        ' if [ -n "$DIE" ]; then echo "dying $DIE" >&2; exit "$DIE"; fi; trap "exit 0" TERM;'
        ' mkdir /www; echo "$GREETING $OWN" >/www/index.html;'
        ' if [ -n "$PORT" ]; then httpd -f -p "127.0.0.1:$PORT" -h /www; else sleep 9999; fi & wait'
    )
    applets = ("httpd", "mkdir", "sh", "sleep")
    _docker_archive(
        file,
        archive(
            (entry("bin/busybox"), BUSYBOX.read_bytes()),
            *(entry(f"bin/{name}", type=b"2", linkname="busybox") for name in applets),
        ),
        Entrypoint=["/bin/sh", "-c", script],
    )


def _none(root: Path) -> None:
    """No shell."""
    root.mkdir()
    (root / "program").write_bytes(b"")


def _docker_archive(file: Path, layer: bytes, **config: Any) -> None:
    """What `docker save` writes."""
    described = json.dumps({"architecture": "amd64", "os": "linux", "config": config})
    name = hashlib.sha256(described.encode()).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [], "Layers": ["layer/layer.tar"]}])
    file.write_bytes(
        archive((name, described), ("layer/layer.tar", layer), ("manifest.json", manifest))
    )


_MAKERS: dict[str, Callable[[Path], None]] = {
    "debian": _debian,
    "busybox": _busybox,
    "alone": _alone,
    "musl": _musl,
    "odd": _odd,
    "service": _service,
    "none": _none,
}
NAMES = {kind: f"registry.example.com/{kind}/image:1" for kind in _MAKERS}
