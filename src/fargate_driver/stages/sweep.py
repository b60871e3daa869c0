"""Finding and ending jobs that are over although nobody cleaned up.

Safe beside running jobs, their stages and other sweeps: a job counts as over by evidence alone (see
owner.py), one sweep at a time ends it, and ending it twice does nothing twice.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from fargate_driver import jobs, records
from fargate_driver.errors import DriverError
from fargate_driver.owner import why_over
from fargate_driver.stages import lock
from fargate_driver.stages.counted import end_job_counted

_YOUNG = 3600.0
"""Seconds for which a directory without a record is prepare's to fill."""


class Dead(NamedTuple):
    """A job that is over and left something."""

    directory: str
    description: str
    task_arns: list[str]
    why: str


def find(parent: str) -> list[Dead]:
    """Find the jobs that are over.

    Args:
        parent: `[TaskMetadata] Directory`.

    Returns:
        The jobs. Records that can't be read are not among them: nobody knows what they were.
    """
    found = []
    for directory in jobs.all_directories(parent):
        try:
            record = records.load(directory)
            if record is None:
                age = time.time() - os.stat(directory).st_mtime
                if age > _YOUNG:
                    name = os.path.basename(directory)
                    found.append(Dead(directory, f"job {name}", [], "it never started a task"))
            elif why := why_over(record.owner):
                arns = [launch.task_arn for launch in record.launches if launch.task_arn]
                found.append(Dead(directory, record.description, arns, why))
        except (DriverError, OSError):
            continue
    return found


def end(dead: Dead) -> bool:
    """End what a dead job left.

    Args:
        dead: as `find` returned it.

    Returns:
        Whether it was ended; another process may be at it.

    Raises:
        DriverError: a task may still run.
    """
    with lock.for_sweep(dead.directory) as mine:
        if mine:
            # What is wrong with the metrics is told by whoever sweeps, who saves to them too.
            end_job_counted(dead.directory, f"reaped: {dead.why}", "", reaped=True)
        return mine
