"""Rates that all drivers of one host keep together.

Each is a token bucket in a file of one line, changed under flock, which the kernel releases with
the process that held it. What can't be read (a crash, another boot, a file of someone else) counts
as a full bucket, and where no file can be kept there is no common rate: a job never fails for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.moment import boot_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFIX = ".pace-"
_LONGEST_QUEUE = 600.0
"""Seconds; a bucket that is empty for longer than this was written by no driver."""
_PATIENCE = 5.0
"""Seconds to wait for a lock that others hold for microseconds."""


class Rate(NamedTuple):
    """How many tokens flow in per second, and how many a full bucket holds."""

    per_second: float
    burst: int


class Bucket:
    """A token bucket in a locked file; made by `hold`.

    The file keeps one number, when the bucket will be full again, by the clock that counts from the
    machine's start and that nobody can set.
    """

    def __init__(self, file: int, rate: Rate) -> None:
        self._file = file
        self._rate = rate
        self._boot = boot_id()

    @property
    def full(self) -> bool:
        """Whether all tokens are there."""
        return self._full_at() <= time.monotonic()

    def wait(self) -> float:
        """Seconds until a token is there."""
        spare = (self._rate.burst - 1) / self._rate.per_second
        return max(0.0, self._full_at() - time.monotonic() - spare)

    def take(self, tokens: float = 1) -> None:
        """Take tokens, also such as will only flow in later."""
        full_at = max(time.monotonic(), self._full_at()) + tokens / self._rate.per_second
        line = f"{self._boot} {full_at:.6f}\n".encode()
        os.pwrite(self._file, line, 0)
        os.ftruncate(self._file, len(line))

    def _full_at(self) -> float:
        try:
            boot, text = os.pread(self._file, 200, 0).decode("ascii").split()
            full_at = float(text)
        except ValueError:
            return 0.0
        sensible = boot == self._boot and full_at - time.monotonic() < _LONGEST_QUEUE
        return full_at if sensible else 0.0


@contextlib.contextmanager
def hold(path: Path, rate: Rate, patience: float = 0.0) -> Iterator[Bucket | None]:
    """Lock a bucket's file, which is made where it is missing.

    Args:
        path: as `place` gives it.
        rate: the bucket's size.
        patience: seconds to wait for the lock.

    Yields:
        The bucket, or None where another process holds it.

    Raises:
        OSError: no such file can be kept there.
    """
    deadline = time.monotonic() + patience
    file = lock(path)
    while file is None and time.monotonic() < deadline:
        time.sleep(0.01)
        file = lock(path)
    if file is None:
        yield None
        return
    try:
        yield Bucket(file, rate)
    finally:
        os.close(file)


def take(path: Path, rate: Rate) -> float:
    """Take a token of a bucket, if there is one.

    Args:
        path: as `place` gives it.
        rate: the bucket's size.

    Returns:
        0 for a token; otherwise in how many seconds there may be one.
    """
    try:
        with hold(path, rate, _PATIENCE) as bucket:
            wait = bucket.wait() if bucket else 0.0
            if bucket and not wait:
                bucket.take()
            return wait
    except OSError:
        return 0.0


def place(root: Path, *facts: str | None) -> Path:
    """The path of the bucket that all have who name the same facts.

    Args:
        root: `[TaskMetadata] Directory`.
        facts: what the rate is of, for example the Region.
    """
    return root / f"{_PREFIX}{digest(*facts)}"


def digest(*facts: str | None) -> str:
    """A short name for facts, fit for files."""
    return hashlib.sha256("\0".join(fact or "" for fact in facts).encode()).hexdigest()[:12]


def drop_full(path: Path, rate: Rate) -> None:
    """Remove a bucket that is full, which says no more than none.

    Args:
        path: as `place` gives it.
        rate: the bucket's size.
    """
    with contextlib.suppress(OSError), hold(path, rate) as bucket:
        if bucket and bucket.full:
            path.unlink()


def forget(root: Path) -> None:
    """Remove the buckets that killed drivers left, once there is no job any more.

    Args:
        root: `[TaskMetadata] Directory`.
    """
    with contextlib.suppress(OSError):
        found = list(root.iterdir())
        if not any(path.is_dir() for path in found):
            for path in found:
                if path.name.startswith(_PREFIX):
                    path.unlink()


def lock(path: Path) -> int | None:
    """Open and lock a file, or None where another process holds it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A file that was removed meanwhile is locked by nobody else.
        if os.path.samestat(os.fstat(file), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None
