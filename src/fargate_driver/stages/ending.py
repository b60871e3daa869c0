"""Ending all that a job left: its task, its connection, its record.

cleanup does this, and so does prepare, for what an earlier try left and when it fails itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import history, jobs, records
from fargate_driver.costs import bill
from fargate_driver.ecs import pace
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.errors import DriverError
from fargate_driver.jobs import RecordError
from fargate_driver.stages import connecting

if TYPE_CHECKING:
    from fargate_driver.records import JobRecord, Launch


def end_job(
    directory: str,
    cause: str,
    state: str = "",
    *,
    patience: float = 60.0,
    hurry: bool = False,
    again: bool = False,
) -> None:
    """Stop every task of a job, close its connection and remove its record.

    Everything is tried, whatever fails; calling it again goes on where it stopped. The caller has
    the job to itself (lock.py), as far as that can be had.

    Args:
        directory: the job's directory; one that is gone is fine.
        cause: why, for StopTask's reason.
        state: what became of the job, for the history.
        patience: seconds in which calls of AWS that are throttled or not served are tried again,
            and that one of them may take.
        hurry: all must be over in 10 s.
        again: another try of the job comes, in the same directory and process.

    Raises:
        DriverError: a task may still run. The record, where there is one, stays, so that a later
            call can stop it.
    """
    if not os.path.lexists(directory):
        pace.forget(Path(directory).parent)
        return
    jobs.check_own(directory)
    problems = []
    lost = record = None
    try:
        record = records.load(directory)
        if record:
            _stop_tasks(record, cause, patience=patience, hurry=hurry)
        elif jobs.load_access(directory):
            lost = DriverError(
                f"{directory}: the job's record was removed, so its task can't be stopped; where"
                " ecs:ListTasks is allowed, `fargate reap` finds and stops it"
            )
    except DriverError as e:
        problems.append(str(e))
    connecting.close(directory)
    if problems:
        try:
            _empty(directory)
        except RecordError as e:
            problems.append(str(e))
        raise DriverError("\n".join(problems))
    if again:
        jobs.empty(directory, but=jobs.PREPARE)
    else:
        ended = history.entry(record, state or "ended") if record else None
        jobs.remove(directory)
        if ended:
            history.append(os.path.dirname(directory), ended)
        pace.forget(Path(directory).parent)
    if lost:
        raise lost


def _empty(directory: str) -> None:
    """The key goes in any case; the record, and the bill, stay as long as a task may run."""
    billed = bill.load(directory)
    jobs.empty(directory, but=jobs.RECORD)
    if billed:
        with contextlib.suppress(OSError):
            billed.save(directory)


def _stop_tasks(record: JobRecord, cause: str, *, patience: float, hurry: bool) -> None:
    pending = [launch for launch in record.launches if not launch.refused]
    if not pending:
        return
    if hurry:
        # 9 s in all: the call that was interrupted may take its time before a replay is answered.
        deadline = time.monotonic() + 5
        finder = Ecs(record.target, deadline=deadline, longest_attempt=6)
        stopper = Ecs(record.target, deadline=deadline, longest_attempt=3)
    else:
        deadline = time.monotonic() + patience
        finder = stopper = Ecs(record.target, deadline=deadline, longest_attempt=patience)
    reason = f"{record.description}: {cause}"
    problems = []
    for launch in pending:
        try:
            for task_arn in _tasks(finder, launch, record):
                stopper.stop_task(task_arn, reason)
        except EcsError as e:
            what = launch.task_arn or "a task that may have been started"
            problems.append(f"{what} could not be stopped: {e}")
    if problems:
        raise DriverError("\n".join(problems))


def _tasks(ecs: Ecs, launch: Launch, record: JobRecord) -> list[str]:
    """Find the tasks of a launch.

    The process that called RunTask may have died before it knew the answer: replaying the call
    unchanged returns the same task, or starts one that the caller stops at once. No refusal of the
    replay, whatever for, proves that the first call started nothing: ECS may look at rights,
    parameters or capacity before it looks at the clientToken.
    """
    if launch.task_arn:
        return [launch.task_arn]
    if not launch.replayable:
        raise EcsError(
            "RunTask was called too long ago to be replayed; look for a task with startedBy"
            f" {launch.request.get('startedBy')}, stop it, and remove {record.directory}",
            "RunTask",
        )
    try:
        task_arn = launch.task_arn = str(ecs.run_task(launch.request)["taskArn"])
    except EcsError as e:
        if e.code == "ConflictException" and (named := ecs.tasks_of_conflict(e)):
            return named
        raise
    # Should it not be stopped now, it is known after the clientToken is forgotten.
    with contextlib.suppress(RecordError):
        record.save()
    return [task_arn]
