"""The system calls that Python 3.11 has no functions for."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import NamedTuple

# Numbers from Linux's uapi headers: sched.h, mount.h, prctl.h, capability.h.
NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
NOSUID, NODEV, NOEXEC = 2, 4, 8
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 1 << 18
_DETACH = 2
_SET_DEATH_SIGNAL, _SET_NAME, _DROP_BOUND, _SET_SUBREAPER = 1, 15, 24, 36
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # the same on every architecture
_CAPABILITY_VERSION_3 = 0x20080522
# What a container has on Fargate, Docker's default: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID
# SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP
# (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html).
_CONTAINER_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: unshare of section 2 of the manual."""
    _check(_libc.unshare(flags), "unshare")


def join(namespace: str) -> None:
    """Enter a namespace, given as a file of /proc/PID/ns; a PID one is for the children to come."""
    file = os.open(namespace, os.O_RDONLY)
    try:
        _check(_libc.setns(file, 0), f"setns {namespace}")
    finally:
        os.close(file)


class Reached(NamedTuple):
    """Another process's namespaces."""

    process: int
    """A descriptor of the process."""
    kinds: int
    """Those that aren't this process's too."""


def reach(pid: int) -> Reached:
    """Return the way into a process's namespaces, for this process or one that it forks."""
    kinds = {
        "user": NEW_USER,
        "mnt": NEW_MOUNTS,
        "uts": NEW_UTS,
        "ipc": NEW_IPC,
        "pid": NEW_PID,
        "net": NEW_NET,
    }
    # The kernel refuses to enter a user namespace again, and an ordinary user the host's network.
    differing = sum(
        flag
        for kind, flag in kinds.items()
        if not Path("/proc/self/ns", kind).samefile(f"/proc/{pid}/ns/{kind}")
    )
    return Reached(os.pidfd_open(pid), differing)


def join_process(reached: Reached) -> None:
    """Enter all namespaces of a process; the PID one is for the children to come.

    Needs Linux 5.8: setns with a descriptor of the process.
    """
    _check(_libc.setns(reached.process, reached.kinds), "setns")
    os.close(reached.process)


def enter_user_namespace(uid: int, gid: int) -> None:
    """Make and enter a user namespace.

    It has no other ids than the caller's own, which is all that the kernel allows an ordinary user.

    Args:
        uid: What the caller's user id is in it.
        gid: What the caller's group id is in it.
    """
    own_uid, own_gid = os.geteuid(), os.getegid()
    unshare(NEW_USER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {own_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {own_gid} 1")


def may_set_groups() -> bool:
    """Return whether this user namespace has supplementary groups: not an ordinary user's."""
    return Path("/proc/self/setgroups").read_text() != "deny\n"


def set_host_name(name: str) -> None:
    """Set the host name of this UTS namespace."""
    text = name.encode()
    _check(_libc.sethostname(text, len(text)), "sethostname")


def mount(kind: str, target: str, options: str = "", flags: int = NOSUID | NODEV) -> None:
    """Mount a new file system of a kind."""
    source = kind.encode()
    _check(
        _libc.mount(source, os.fsencode(target), source, flags, os.fsencode(options)),
        f"mount {kind} on {target}",
    )


def overlay(lower: str, target: str, store: Path, *, as_root: bool, flags: int = NOSUID) -> None:
    """Show a directory at `target`, with what is changed there kept in another place.

    Args:
        lower: What is shown, and never changed.
        target: Where.
        store: An empty directory for the changes, on a file system that can hold them.
        as_root: Whether this is the host's root; in a user namespace, overlayfs can keep its notes
            only in attributes of users' own.
        flags: The mount's.
    """
    changes, work = store / "changes", store / "work"
    changes.mkdir(parents=True)
    work.mkdir()
    original = Path(lower).stat()
    changes.chmod(original.st_mode & 0o7777)
    if as_root:
        os.chown(changes, original.st_uid, original.st_gid)
    options = f"lowerdir={_escape(lower)},upperdir={_escape(changes)},workdir={_escape(work)}"
    # Volatile: what is thrown away at the end need not be synchronised to the disk before.
    options += ",volatile" if as_root else ",volatile,userxattr"
    mount("overlay", target, options, flags)


def _escape(path: str | Path) -> str:
    text = str(path)
    for character in "\\:,":
        text = text.replace(character, "\\" + character)
    return text


def bind(source: str, target: str) -> None:
    """Show a file or a directory, with all that is mounted in it, at another path."""
    _check(
        _libc.mount(os.fsencode(source), os.fsencode(target), None, _BIND | _RECURSIVE, None),
        f"bind {source} to {target}",
    )


def clone_tree(path: str) -> int:
    """Return a descriptor of a file or directory as a mount that is nowhere yet, see open_tree(2).

    With all that is mounted in it. Unlike `bind` it can be attached where `path` isn't seen.
    """
    at_working_directory, at_recursive, clone = -100, 0x8000, 1
    tree = int(
        _libc.syscall(
            _OPEN_TREE,
            at_working_directory,
            os.fsencode(path),
            at_recursive | clone | os.O_CLOEXEC,
        )
    )
    _check(tree, f"open_tree {path}")
    return tree


def attach(tree: int, target: str) -> None:
    """Mount what `clone_tree` returned, and close the descriptor."""
    at_working_directory, empty_path, follow_links_to_target = -100, 0x04, 0x10
    try:
        moved = _libc.syscall(
            _MOVE_MOUNT,
            tree,
            b"",
            at_working_directory,
            os.fsencode(target),
            empty_path | follow_links_to_target,
        )
        _check(moved, f"move_mount to {target}")
    finally:
        os.close(tree)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def make_read_only(target: str) -> None:
    """Make a mount and all below it read-only, see mount_setattr(2): Linux 5.12 and newer."""
    read_only, at_working_directory, at_recursive = 1, -100, 0x8000
    attributes = _MountAttributes(set=read_only)
    _check(
        _libc.syscall(
            _MOUNT_SETATTR,
            at_working_directory,
            os.fsencode(target),
            at_recursive,
            ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        ),
        f"make {target} read-only",
    )


def make_mounts_private() -> None:
    """Keep what is mounted and unmounted from now on to this mount namespace."""
    what = "make mounts private"
    try:
        _check(_libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None), what)
    except OSError as error:
        if error.errno == errno.EINVAL:
            what += ": / is no mount point, as in a chroot"
            raise OSError(errno.EINVAL, what) from None
        raise


def change_root(root: str) -> None:
    """Make the mount at `root` the root file system and let go of the old one."""
    os.chdir(root)
    # The old root is stacked on the new one, as pivot_root(2) describes; no directory is needed.
    # Nothing may be looked up before it is gone: `..` in the root would lead to it.
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _DETACH), "let go of the old root")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Ask for a signal when the parent ends; never reaches further descendants."""
    _check(_libc.prctl(_SET_DEATH_SIGNAL, signal_number, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of every orphaned descendant, as PID 1 is without asking."""
    _check(_libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0), "prctl")


def set_process_name(name: str) -> None:
    """Set what /proc/PID/comm shows: at most 15 bytes."""
    _check(_libc.prctl(_SET_NAME, name.encode(), 0, 0, 0), "prctl")


def limit_capabilities(*, as_root: bool) -> None:
    """Keep what a container on Fargate has (root), or nothing (anyone else).

    A process can be looked into, its environ read, only by one that has at least its capabilities:
    without this no SSH session could read the environment of the container's first process.
    """
    kept = _CONTAINER_CAPABILITIES if as_root else frozenset[int]()
    for capability in range(64):
        # EINVAL is the kernel's answer to numbers beyond the last one it knows.
        if capability not in kept and _libc.prctl(_DROP_BOUND, capability, 0, 0, 0) < 0:
            break
    mask = sum(1 << capability for capability in kept)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low = (
        mask,
        mask,
        0,
    )  # effective, permitted, inheritable; the second triple is numbers 32 to 63
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)(*low, 0, 0, 0)), "capset")
