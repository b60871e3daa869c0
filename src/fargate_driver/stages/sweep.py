"""Finding and ending jobs that are over although nobody cleaned up.

Safe beside running jobs, their stages and other sweeps: a job counts as over by evidence alone (see
owner.py), one sweep at a time ends it, and ending it twice does nothing twice. What is wrong with
one job keeps nobody from the others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import NamedTuple

from fargate_driver import jobs, records
from fargate_driver.errors import DriverError, explained
from fargate_driver.jobs import RecordError
from fargate_driver.owner import why_over
from fargate_driver.ssh import mux
from fargate_driver.stages import lock
from fargate_driver.stages.counted import end_job_counted

_LOGGER = logging.getLogger(__name__)
_YOUNG = 3600.0
"""Seconds for which a directory without a record is prepare's to fill."""
_IN_PASSING = 5.0
"""Seconds that a job which starts spends on others; what is left is for the next one, or reap."""
_LEAST = 1.0
"""Seconds of it that one of them needs: in less, AWS would seem to fail that does not."""
_TRIED = "sweep-failed"
"""Says in a job's directory how often, and when last, a sweep in passing has failed to end it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
"""Seconds until the next prepare tries again; doubled each time."""


class Dead(NamedTuple):
    """A job that is over and left something."""

    directory: str
    description: str
    task_arns: list[str]
    why: str


class Found(NamedTuple):
    """What a sweep found.

    Attributes:
        dead: The jobs that are over.
        unclear: By directory, what keeps anybody from telling whether a job is over.
    """

    dead: list[Dead]
    unclear: dict[str, str]


def find(parent: str) -> Found:
    """Find the jobs that are over.

    Args:
        parent: `[TaskMetadata] Directory`.

    Raises:
        RecordError: it can't be read.
    """
    found = Found([], {})
    for directory in jobs.all_directories(parent):
        try:
            if dead := _look(directory):
                found.dead.append(dead)
        except Exception as e:  # noqa: BLE001 - one job's fault is not the others'
            found.unclear[directory] = _told(directory, e)
    return found


def _look(directory: str) -> Dead | None:
    """See whether a job is over: None where it is not, or is gone."""
    try:
        jobs.check_own(directory)
        job = records.load(directory)
        if job is None:
            if time.time() - os.stat(directory).st_mtime <= _YOUNG:
                return None
            for place in jobs.places(directory):
                if jobs.is_running(place) or mux.listens(place):
                    raise RecordError(
                        f"{directory}: the job's record was removed, but the job still runs"
                    )
            name = f"job {os.path.basename(directory)}"
            return Dead(directory, name, [], "it has no record of a task")
    except FileNotFoundError:
        return None
    if why := why_over(job.owner):
        arns = [launch.task_arn for launch in job.launches if launch.task_arn]
        return Dead(directory, job.description, arns, why)
    return None


def end(directory: str, *, patience: float = 60.0) -> bool:
    """End what a dead job left.

    Args:
        directory: the job's.
        patience: seconds in which calls of AWS that are throttled or not served are tried again.

    Returns:
        Whether it was ended; another process may be at it, or has meanwhile begun another try of
        the same job.

    Raises:
        DriverError: a task may still run.
    """
    with lock.for_sweep(directory) as mine:
        dead = _look(directory) if mine else None
        if not dead:
            return False
        # What is wrong with the metrics is told by whoever sweeps, who saves to them too.
        end_job_counted(directory, f"reaped: {dead.why}", "", reaped=True, patience=patience)
        return True


def in_passing(own: str) -> None:
    """End what dead jobs of this host left, as far as that costs a job that starts no time.

    What can't be ended is tried again later and later: every prepare comes by here.

    Args:
        own: the directory of the job that starts, which doesn't depend on any of this.
    """
    deadline = time.monotonic() + _IN_PASSING
    try:
        found = find(os.path.dirname(own))
    except DriverError:
        return  # what is wrong with the directory is said when this job's own is made
    for dead in found.dead:
        patience = deadline - time.monotonic()
        if patience < _LEAST:
            return
        tries, last = _failures(dead.directory)
        if dead.directory == own or not _is_due(tries, last):
            continue
        _LOGGER.warning("%s: %s; ending what it left", dead.description, dead.why)
        try:
            end(dead.directory, patience=patience)
        except Exception as e:  # noqa: BLE001 - it is not this job's fault
            _LOGGER.error("%s: %s", dead.description, _told(dead.directory, e))  # noqa: TRY400
            with contextlib.suppress(DriverError):
                jobs.write(os.path.join(dead.directory, _TRIED), f"{tries + 1} {time.time()}")


def _told(directory: str, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{directory}: can't be looked at: {error.strerror}"
    return str(explained(error, debug=False))


def _is_due(tries: int, last: float) -> bool:
    pause = min(_FIRST_PAUSE * 2 ** (tries - 1), _LONGEST_PAUSE)
    # A clock that was set back doesn't make it wait for longer.
    return not tries or not 0 <= time.time() - last < pause


def _failures(directory: str) -> tuple[int, float]:
    try:
        with open(os.path.join(directory, _TRIED), encoding="ascii") as file:
            tries, last = file.read().split()
        return max(0, min(int(tries), 10)), float(last)
    except (OSError, ValueError):
        return 0, 0.0
