"""Containers for the tests of the tools: a root file system of one kind, with init as PID 1."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.helper import tools_directory
from ssh.pretended_task import METADATA, Task, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("busybox", "glibc", "bash-only")
"""Only busybox; what this machine has; only bash, under no other name. Only "glibc" has an
/etc/passwd."""

# A mount and PID namespace with the root in $1, which stays as it is: mounts are the namespace's.
_ENTER = """
set -e
root=$1 user=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero random urandom tty; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t proc proc "$root/proc"
if [ -d "$root/usr" ]; then
  mount --rbind -o ro /usr "$root/usr"
  mount --bind "$root/hosts" "$root/etc/hosts"
fi
exec chroot --userspec="$user:$user" "$root" "$@"
"""


@cache
def tools() -> Path:
    """The tools of this checkout, built once."""
    return tools_directory()


def make_root(root: Path, kind: str) -> None:
    """Makes a root file system with /opt/fargate, a /tmp and a /builds that all may write to."""
    for name in ("dev", "proc", "tmp", "builds", "etc", "bin", "opt", "work"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "builds"):
        (root / name).chmod(0o777)
    shutil.copytree(tools(), root / "opt" / "fargate", symlinks=True)
    {"busybox": _add_busybox, "glibc": _add_this_machine, "bash-only": _add_bash}[kind](root)


def _add_busybox(root: Path) -> None:
    shutil.copy(tools() / "busybox", root / "bin")
    subprocess.run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"], check=True)


def _add_this_machine(root: Path) -> None:
    (root / "bin").rmdir()
    (root / "usr").mkdir()
    for link in ("bin", "sbin", "lib", "lib64"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(Path("usr", link))
    for name in ("passwd", "group", "nsswitch.conf"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), root / "etc")
    (root / "etc" / "hosts").touch()
    (root / "hosts").write_text("127.0.0.1\tlocalhost")


def _add_bash(root: Path) -> None:
    bash = shutil.which("bash")
    assert bash
    for word in subprocess.check_output(["ldd", bash], text=True).split():
        if word.startswith("/"):
            target = root / word.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, target)
    shutil.copy(bash, root / "bin")


class Container(Task):
    """A container that is not started yet. Its variables are PATH, the key and the given ones.

    Args:
        directory: An empty one.
        kind: Of KINDS.
        user: The uid and gid of its processes.
        environment: Further variables; PATH among them replaces the usual one.
        arguments: Further words for init.
    """

    def __init__(
        self,
        directory: Path,
        kind: str,
        *,
        user: int = 0,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        super().__init__(directory)
        self.root = directory / "root"
        make_root(self.root, kind)
        self.log = directory / "container.log"
        self.connection.wrapper_shell = "/opt/fargate/sh"
        self.connection.user = "whoever"
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "ECS_CONTAINER_METADATA_URI_V4": METADATA,
            "FARGATE_LISTEN_ADDRESS": "127.0.0.1",
            # For tests that were killed: nothing is left for long.
            "FARGATE_MAX_LIFETIME": "900",
            "SSH_PUBLIC_KEY": self.public_key,
            **(environment or {}),
        }
        self._user = user
        self._arguments = arguments

    def start(self) -> None:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        init = ["/opt/fargate/init", "--port", str(self.port), *self._arguments]
        # env is the tools' own: the root may have none.
        command = ["/opt/fargate/busybox", "env", "-i", *variables, *init]
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*unshare, "sh", "-c", _ENTER, "sh", self.root, str(self._user), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def host_pid(self) -> int:
        """The pid of init as this machine sees it."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(30)

    def until_it_listens(self) -> None:
        wait_until(lambda: "Not backgrounding" in self.said)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self.host_pid, 9)
        super().stop()

    def ssh(
        self, command: str, stdin: bytes = b"", *options: str, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command as a session on the opened master."""
        words = ["ssh", "-F", "none", "-S", "mux", *options, "-p", str(self.port), "x@127.0.0.1"]
        return subprocess.run(
            [*words, command],
            cwd=self.job,
            input=stdin,
            capture_output=True,
            timeout=60,
            check=check,
        )
