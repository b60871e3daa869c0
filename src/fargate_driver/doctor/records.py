"""The directory of records on this host."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.errors import DriverError
from fargate_driver.ssh import keys
from fargate_driver.stages import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST_FREE = 50 * 2**20
"""Bytes. A job leaves a few KiB; a disk that is this full will be fuller soon."""
_WHO = "who may put another job's record or key in its place"
_LONGEST_FILE = f"{'9' * 20}-{'0' * 20}/{'0' * 60}"
"""As long as the names in a job's folder get."""
_KEY = "[TaskMetadata] Directory"


def look(directory: Path) -> Iterator[Finding]:
    """Check the directory, by a folder that is made in it and removed at once.

    Args:
        directory: `[TaskMetadata] Directory`.
    """
    mend = f"set {_KEY} to a folder of gitlab-runner's user"
    base = _existing(directory)
    too_long = _too_long(directory)
    if too_long:
        yield wrong("records", too_long, mend)
        yield from _not_tried("no job's folder can be made there")
        return
    if not base.is_dir():
        yield wrong("records", f"{base} is no directory", mend)
        yield from _not_tried("there is no directory")
        return
    try:
        with tempfile.TemporaryDirectory(dir=base, prefix=".fargate-doctor-") as place:
            yield _state(directory, base)
            yield _socket(Path(place))
            yield _key(place)
    except OSError as error:
        yield wrong("records", f"{base} can't be written to: {error.strerror}", mend)
        yield from _not_tried("the directory can't be written to")
        return
    yield _leftovers(directory)


def _not_tried(why: str) -> Iterator[Finding]:
    for check in ("control-socket", "ssh-keygen", "leftovers"):
        yield unchecked(check, why)


def _existing(directory: Path) -> Path:
    """The directory, or that of its parents in which it would be made."""
    return next(path for path in (directory, *directory.parents) if os.path.lexists(path))


def _too_long(directory: Path) -> str:
    """What is too long for the file system in the path of a job's file; "" for nothing."""
    try:
        os.lstat(directory / _LONGEST_FILE)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return f"{str(directory)[:200]}: {error.strerror}"
    return ""


def _state(directory: Path, base: Path) -> Finding:
    found = base.stat()
    free = shutil.disk_usage(base).free
    told = f"{free / 2**30:.1f} GiB free"
    if free < _LEAST_FREE:
        return wrong("records", f"{base}: {told}", "make room on its file system")
    if base != directory:
        return ok("records", f"{directory} will be made in {base}, {told}")
    me = os.geteuid()
    if found.st_uid not in (me, 0):
        mend = f"call the doctor as gitlab-runner's user; if this is it: chown {me} {directory}"
        return wrong("records", f"{directory}: belongs to user {found.st_uid}, {_WHO}", mend)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mend = f"chmod go-w {directory}"
        return wrong("records", f"{directory}: other users may write to it, {_WHO}", mend)
    return ok("records", f"{directory}: writable for this user alone, {told}")


def _socket(place: Path) -> Finding:
    """What ssh and the driver's locks ask of the file system.

    ssh binds its control socket under a passing name and links it (OpenSSH, mux.c). The driver has
    it do so in the job's directory, so that the length of the path doesn't matter.
    """
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(f"/proc/self/fd/{handle}/socket")
            os.link(place / "socket", place / "mux", follow_symlinks=False)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return wrong(
            "control-socket",
            f"its file system lacks Unix sockets, hard links or locks: {error.strerror}",
            f"set {_KEY} to a folder on a local disk",
        )
    finally:
        os.close(handle)
    return ok("control-socket", "sockets, links and locks work there")


def _key(place: str) -> Finding:
    try:
        keys.make_key(place, "fargate-doctor")
    except DriverError as error:
        return wrong("ssh-keygen", str(error), "install the OpenSSH client (openssh-client)")
    return ok("ssh-keygen", "makes keys")


def _leftovers(directory: Path) -> Finding:
    try:
        dead = sweep.find(str(directory)).dead
    except (DriverError, OSError) as error:
        return unchecked("leftovers", str(error))
    if not dead:
        return ok("leftovers", "no job is left that is over")
    what = "; ".join(f"{one.description}: {one.why}" for one in dead[:3])
    more = f" and {len(dead) - 3} more" if len(dead) > 3 else ""
    return wrong("leftovers", f"{what}{more}", "`fargate reap` ends them, and the next job does")
