"""One process at a time changes what a job has on disk: its prepare, its cleanup, or a sweep.

The lock is on the job's directory itself: the kernel frees it with the process that held it, and no
file of it is left. Nobody waits for one lock while holding another, and a sweep never waits, so
nobody can wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import jobs, owner
from fargate_driver.console import say
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 60.0
"""Seconds that a second prepare of a job waits for the first: a runner that tries again starts the
second when the first has ended, or is about to."""
_GRACE = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
"""How cleanup ends a prepare that still runs, and how many seconds it gives it each time. A prepare
that is cancelled stops its task within 10."""
_PAUSE = 0.1


@contextlib.contextmanager
def for_prepare(directory: str) -> Iterator[None]:
    """Have the job to oneself, its directory made.

    Args:
        directory: the job's directory.

    Raises:
        DriverError: another process has it, and keeps it.
        RecordError: the directory can't be made.
    """
    deadline = time.monotonic() + _PATIENCE
    told = False
    while True:
        jobs.create(directory)
        with contextlib.suppress(FileNotFoundError):  # removed just now, with the job's end
            handle = _take(directory)
            if handle is not None:
                break
        if time.monotonic() > deadline:
            raise DriverError(
                f"another process{_named(directory)} still prepares or ends this job after"
                f" {_PATIENCE:.0f} s of waiting; a cleanup of the job ends it"
            )
        if not told:
            told = True
            say(
                f"another process{_named(directory)} prepares or ends this job: waiting for it,"
                f" {_PATIENCE:.0f} s at most"
            )
        time.sleep(_PAUSE)
    try:
        _note_prepare(directory)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def for_cleanup(directory: str) -> Iterator[None]:
    """End a prepare of the job that still runs, and have the job to oneself.

    Where neither can be had, the caller goes on all the same: ending a job twice does nothing
    twice, and a task that prepare is just starting is found by the request that it wrote down.

    Args:
        directory: the job's directory; one that is gone is fine.
    """
    handle = None
    try:
        # The directory may go any time, with the job's end by another process; what else is wrong
        # with it is for the caller to tell.
        with contextlib.suppress(OSError):
            handle = _take(directory)
            for number, seconds in _GRACE:
                if handle is None:
                    _signal_prepare(directory, number)
                    handle = _wait(directory, seconds)
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def for_sweep(directory: str) -> Iterator[bool]:
    """Have the job to oneself if that costs no wait.

    Args:
        directory: the job's directory.

    Yields:
        Whether there is a job, and nobody else has it.
    """
    handle = None
    with contextlib.suppress(OSError):
        handle = _take(directory)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _take(directory: str) -> int | None:
    """Lock a directory; None where another process has it.

    Raises:
        OSError: it is gone, or no directory.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held it may have removed the directory, and somebody else made another one.
        if os.path.samestat(os.fstat(handle), os.lstat(directory)):
            return handle
    except BlockingIOError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _wait(directory: str, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while (handle := _take(directory)) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return handle


def _named(directory: str) -> str:
    pid = _prepare(directory)
    return f" ({pid})" if pid else ""


def _note_prepare(directory: str) -> None:
    # Where it can't be written, neither can the record, which is told in full.
    with contextlib.suppress(OSError):
        Path(directory, jobs.PREPARE).write_text(owner.this_process(), "ascii")


def _prepare(directory: str) -> int | None:
    """The process that prepares the job; None where none does, or it can't be seen from here."""
    try:
        return owner.living(Path(directory, jobs.PREPARE).read_text("ascii"))
    except (OSError, ValueError):
        return None


def _signal_prepare(directory: str, number: signal.Signals) -> None:
    pid = _prepare(directory)
    if not pid or pid == os.getpid():
        return
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            # Now that the handle stands for one process, see that it is still the one meant.
            if _prepare(directory) == pid:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
