"""What every container has of the kernel: /dev, /proc and /sys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.local.runtimes.inside import kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "fd/0",
    "stdout": "fd/1",
    "stderr": "fd/2",
    "ptmx": "pts/ptmx",
}
_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_MASKED = ("kcore", "keys", "timer_list")
_NO_EXEC = kernel.NOSUID | kernel.NOEXEC
_TTY = 5  # the group that terminals belong to, on every distribution


class System(NamedTuple):
    """What was taken from the host, to be attached in the container."""

    devices: Mapping[str, int]
    masks: Mapping[str, int]
    proc: int
    sys: int


def take(storage: str) -> System:
    """Take what is needed, while the host's root file system is still there.

    Args:
        storage: A directory of the container's own.

    Raises:
        OSError: the kernel refused it.
    """
    # The kernel gives a new /proc only to whoever sees one already.
    proc = Path(storage, "proc")
    proc.mkdir()
    kernel.mount("proc", str(proc), flags=_NO_EXEC | kernel.NODEV)
    return System(
        devices={name: kernel.clone_tree(f"/dev/{name}") for name in _DEVICES},
        masks={
            name: kernel.clone_tree("/dev/null") for name in _MASKED if Path("/proc", name).exists()
        },
        proc=kernel.clone_tree(str(proc)),
        sys=kernel.clone_tree("/sys"),
    )


def give(system: System, root: str, *, groups: bool) -> None:
    """Put it into a root file system whose /dev, /proc and /sys are empty directories.

    Args:
        system: What was taken.
        root: Its path; empty once it is the process's own.
        groups: Whether the tty group exists in this user namespace.

    Raises:
        OSError: the kernel refused a step.
    """
    kernel.mount("tmpfs", f"{root}/dev", "mode=755", kernel.NOSUID)
    for name, tree in system.devices.items():
        Path(f"{root}/dev/{name}").touch()
        kernel.attach(tree, f"{root}/dev/{name}")
    for name, target in _LINKS.items():
        Path(f"{root}/dev/{name}").symlink_to(target)
    for name in ("pts", "shm"):
        Path(f"{root}/dev/{name}").mkdir()
    group = f",gid={_TTY}" if groups else ""
    kernel.mount(
        "devpts", f"{root}/dev/pts", f"newinstance,ptmxmode=0666,mode=620{group}", _NO_EXEC
    )
    kernel.mount("tmpfs", f"{root}/dev/shm", "mode=1777")  # noqa: S108 - the container's own
    kernel.attach(system.proc, f"{root}/proc")
    for name in _READ_ONLY:
        place = f"{root}/proc/{name}"
        if Path(place).exists():
            kernel.bind(place, place)
            kernel.make_read_only(place)
    for name, tree in system.masks.items():
        kernel.attach(tree, f"{root}/proc/{name}")
    kernel.attach(system.sys, f"{root}/sys")
    kernel.make_read_only(f"{root}/sys")
