"""The built-in image: a root file system that is the host's own, which the task can't change.

A tmpfs is the new root. Each directory of the host's root is an overlay on it, so that writes
work and vanish with the task; where the kernel refuses that, the directory is read-only. /tmp,
/run, /builds and the like are the task's own. What is needed of the host in them is read-only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.inside import kernel, names, system
from fargate_driver.local.runtimes.inside.binds import attach_binds, take_binds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.local.runtimes.inside.plan import Bind, Plan

PRIVATE = "/run/fargate-local"
"""Where the task keeps what its SSH server needs."""
_ON_DISK = ("/builds", "/cache", "/tmp")  # noqa: S108  a task's own, on the host's disk
_OWN = {*_ON_DISK, "/dev", "/proc", "/run", "/sys"}


def enter(plan: Plan, *, as_root: bool) -> None:
    """Build the root file system and make it this process's; needs a new mount namespace.

    Args:
        plan: The container, of a built-in image.
        as_root: Whether this is the host's root.

    Raises:
        OSError: the kernel refused a step; its text says which.
    """
    kernel.make_mounts_private()
    root = Path(plan.storage) / "root"
    root.mkdir(parents=True)
    kernel.mount("tmpfs", str(root), "mode=755")
    writable = _show_host(plan, root, as_root=as_root)
    _make_own(plan, root, as_root=as_root)
    hidden = [*_OWN, plan.hidden]
    if (root / plan.hidden.lstrip("/")).is_dir():
        kernel.mount("tmpfs", str(root) + plan.hidden, "mode=755")
    if not any(_below(plan.home, place) for place in writable) or _below(plan.home, plan.hidden):
        _make_home(plan.home, root)
        hidden.append(plan.home)
    _show_path(plan, root, hidden)
    _make_account(plan, root, as_root=as_root)
    files = take_binds(_names(plan, root))
    binds = take_binds(plan.binds)
    kernel.change_root(str(root))
    for bind, _ in binds:
        _make_room(Path(bind.target))
    if plan.process:
        _make_room(Path(plan.process.working_directory))
    attach_binds([*files, *binds])


def _make_room(directory: Path) -> None:
    """Make a directory in what is the root file system now, also where that is read-only."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        above = next(place for place in directory.parents if place.is_dir())
        shown = [(entry, kernel.clone_tree(str(entry))) for entry in above.iterdir()]
        kernel.mount("tmpfs", str(above), "mode=755")
        for entry, tree in shown:
            entry.mkdir() if stat.S_ISDIR(os.fstat(tree).st_mode) else entry.touch()
            kernel.attach(tree, str(entry))
        directory.mkdir(parents=True)


def _names(plan: Plan, root: Path) -> list[Bind]:
    """Return the files about names that are the container's own."""
    if plan.process is None:
        return []
    # Where the host's is missing or a link, into /run most often, it stays as it is.
    return [
        bind
        for bind in names.write(plan)
        if (root / bind.target[1:]).is_file() and not (root / bind.target[1:]).is_symlink()
    ]


def _below(path: str, directory: str) -> bool:
    return Path(path).is_relative_to(directory)


def _show_host(plan: Plan, root: Path, *, as_root: bool) -> list[str]:
    """Show the host's directories; return those that can be written to."""
    writable: list[str] = []
    read_only: list[str] = []
    for entry in sorted(Path("/").iterdir()):
        place = str(entry)
        target = root / entry.name
        if place in _OWN:
            continue
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif entry.is_dir():
            target.mkdir()
            (writable if _overlay(plan, place, root, as_root=as_root) else read_only).append(place)
    for place in _deeper_mounts(plan):
        # A read-only directory shows what is mounted in it already, an overlay does not.
        if any(_below(place, other) for other in writable) and (root / place.lstrip("/")).is_dir():
            _overlay(plan, place, root, as_root=as_root)
    return writable


def _overlay(plan: Plan, place: str, root: Path, *, as_root: bool) -> bool:
    """Show a directory of the host; return whether it can be written to."""
    target = str(root) + place
    # An overlay's changes can't be stored inside of what it changes, then they go to memory.
    # The second try is for a file system that can't store them (such as another overlay).
    stores = [root / "run" / "overlays"]
    if not _below(plan.storage, place):
        stores.insert(0, Path(plan.storage) / "overlays")
    for store in stores:
        try:
            kernel.overlay(
                place,
                target,
                store / place.replace("/", "%"),
                as_root=as_root,
                flags=kernel.NOSUID | kernel.NODEV,
            )
        except OSError:
            continue
        return True
    kernel.bind(place, target)
    kernel.make_read_only(target)
    return False


def _deeper_mounts(plan: Plan) -> Iterator[str]:
    """Yield what is mounted deeper than in /: disks, and what is needed for PATH and home.

    Others, such as the file systems of containers, stay out: a task would keep them busy.
    """
    needed = [*plan.path, plan.home]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        place = fields[4].encode().decode("unicode_escape").encode("latin-1").decode()
        source = fields[fields.index("-") + 2]
        disk = source.startswith("/dev/") and not source.startswith("/dev/loop")
        if place.count("/") < 2 or any(_below(place, own) for own in _OWN):
            continue
        if disk or any(_below(path, place) for path in needed):
            yield place


def _make_own(plan: Plan, root: Path, *, as_root: bool) -> None:
    """Make the directories that are the task's own."""
    for place in _ON_DISK:
        own = Path(plan.storage) / place[1:]
        own.mkdir()
        # As root's job images have it: anyone in the container may write here.
        own.chmod(0o1777)
        (root / place[1:]).mkdir()
        kernel.bind(str(own), str(root) + place)
    for place in ("dev", "proc", "run/lock", "run/sshd", "sys"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / PRIVATE[1:]).mkdir(mode=0o700)
    system.give(system.take(plan.storage), str(root), groups=as_root)


def _make_home(home: str, root: Path) -> None:
    target = root / home.lstrip("/")
    # Where the host's directory of that name shows it is covered, otherwise it is made in the root.
    target.mkdir(parents=True, exist_ok=True)
    kernel.mount("tmpfs", str(target), "mode=700")


def _show_path(plan: Plan, root: Path, hidden: list[str]) -> None:
    """Show, read-only, what the task needs of the host in places that are otherwise its own."""
    needed = [_installation(Path(directory), plan) for directory in plan.path]
    # Where systemd-resolved or the like writes it, it is a link into /run.
    needed.append(str(Path("/etc/resolv.conf").resolve().parent))
    for place in dict.fromkeys(needed):
        target = root / place.lstrip("/")
        if not any(_below(place, own) for own in hidden) or not Path(place).is_dir():
            continue
        target.mkdir(parents=True, exist_ok=True)
        kernel.bind(place, str(target))
        kernel.make_read_only(str(target))


def _installation(directory: Path, plan: Plan) -> str:
    """Return what a directory of programs needs: the whole of a Python environment or a prefix."""
    parent = directory.parent
    whole = (
        directory.name in {"bin", "shims"}
        and any((parent / part).exists() for part in ("pyvenv.cfg", "lib", "libexec"))
        and not any(_below(place, str(parent)) for place in (plan.home, plan.hidden))
    )
    return str(parent if whole else directory)


def _make_account(plan: Plan, root: Path, *, as_root: bool) -> None:
    """Give the user what an image would: a shell that runs commands, this home, no lock."""
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    account = f"{plan.user}:x:{os.geteuid()}:{os.getegid()}::{plan.home}:{shell}"
    _replace("/etc/passwd", {plan.user: account}, root)
    # As in images. On hosts, systemd's module knows better than /etc/shadow, and has some locked.
    databases = ("passwd", "group", "shadow")
    _replace("/etc/nsswitch.conf", {name: f"{name}: files" for name in databases}, root)
    if as_root:
        # Without PAM sshd refuses an account whose password is locked, as root's is on some hosts.
        _replace("/etc/shadow", {plan.user: f"{plan.user}:*:19000:0:99999:7:::"}, root)
    else:
        # sshd would give terminals to this group, which this user namespace can't.
        _replace("/etc/group", {"tty": None}, root)


def _replace(file: str, changes: dict[str, str | None], root: Path) -> None:
    """Replace, add or remove (None) lines, by the name before their first colon."""
    try:
        lines = Path(file).read_text().splitlines()
    except FileNotFoundError:
        lines = []
    kept = [line for line in lines if line.split(":")[0].strip() not in changes]
    text = "".join(f"{line}\n" for line in (*changes.values(), *kept) if line is not None)
    target = root / file[1:]
    try:
        target.write_text(text)
    except OSError:  # not ours to write: cover it
        own = root / PRIVATE[1:] / Path(file).name
        own.write_text(text)
        own.chmod(0o644)
        kernel.bind(str(own), str(target))
