"""Ending all that a job left: its task, its connection, its record.

cleanup does this, and so does prepare, for what an earlier try left and when it fails itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import jobs
from fargate_driver.ecs import pace
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.errors import DriverError
from fargate_driver.ssh.master import close_master

if TYPE_CHECKING:
    from fargate_driver.jobs import JobRecord, Launch

_PATIENCE = 60.0
"""Seconds in which calls of AWS that are throttled or not served are tried again."""
_LONGEST_REASON = 255
"""Characters of StopTask's reason that ECS is sure to keep; the API names no limit."""
_STARTED_NOTHING = {
    "",  # HTTP 200 with failures
    "ClientException",
    "ClusterNotFoundException",
    "InvalidParameterException",
    "PlatformTaskDefinitionIncompatibilityException",
    "PlatformUnknownException",
    "UnsupportedFeatureException",
}
"""Answers to a replayed RunTask that prove that the first one started nothing either. A refusal for
other reasons, such as credentials that have expired since, proves nothing."""


def end_job(directory: str, cause: str, *, hurry: bool = False) -> None:
    """Stop every task of a job, close its connection and remove its record.

    Everything is tried, whatever fails; calling it again goes on where it stopped.

    Args:
        directory: the job's directory; one that is gone is fine.
        cause: why, for StopTask's reason.
        hurry: all must be over in 10 s.

    Raises:
        DriverError: a task may still run. The record stays, so that a later call can stop it.
    """
    if not os.path.isdir(directory):
        return
    problems = []
    try:
        record = jobs.load(directory)
        if record:
            _stop_tasks(record, cause, hurry=hurry)
    except DriverError as e:
        problems.append(str(e))
    close_master(directory)
    if problems:
        raise DriverError("\n".join(problems))
    jobs.remove(directory)
    pace.forget(Path(directory).parent)


def _stop_tasks(record: JobRecord, cause: str, *, hurry: bool) -> None:
    pending = [launch for launch in record.launches if not launch.refused]
    if not pending:
        return
    deadline = time.monotonic() + (3 if hurry else _PATIENCE)
    ecs = Ecs(record.target, deadline=deadline, hurry=hurry)
    reason = " ".join(f"{record.description}: {cause}".split())[:_LONGEST_REASON]
    problems = []
    for launch in pending:
        try:
            for task_arn in _tasks(ecs, launch):
                ecs.stop_task(task_arn, reason)
        except EcsError as e:
            what = launch.task_arn or "a task that may have been started"
            problems.append(f"{what} could not be stopped: {e}")
    if problems:
        raise DriverError("\n".join(problems))


def _tasks(ecs: Ecs, launch: Launch) -> list[str]:
    """Find the tasks of a launch.

    The process that called RunTask may have died before it knew the answer: replaying the call
    unchanged returns the same task, or starts one that the caller stops at once.
    """
    if launch.task_arn:
        return [launch.task_arn]
    if not launch.replayable:
        raise EcsError(
            "RunTask was called too long ago to be replayed; look for a task with startedBy"
            f" {launch.request.get('startedBy')}",
            "RunTask",
        )
    try:
        return [ecs.run_task(launch.request)["taskArn"]]
    except EcsError as e:
        if e.code == "ConflictException":
            return ecs.tasks_of_conflict(e)
        if e.refused and e.code in _STARTED_NOTHING:
            return []
        raise
