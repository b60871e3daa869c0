"""Ending a job, and counting it: once, whether or not the end goes well."""

from __future__ import annotations

from pathlib import Path

from fargate_driver import jobs
from fargate_driver.metrics import record, results
from fargate_driver.stages.ending import end_job


def end_job_counted(
    directory: str, cause: str, status: str, *, reaped: bool = False, patience: float = 60.0
) -> str:
    """End a job as `end_job` does, and count it where metrics are wanted of it.

    A job whose end fails is counted now, and not again when a later call ends it.

    Args:
        directory: the job's directory; one that is gone is fine.
        cause: why, for StopTask's reason.
        status: CI_JOB_STATUS, "" where unknown.
        reaped: whether nobody cleaned up.
        patience: as `end_job` has it.

    Returns:
        What is wrong with the metrics, as one line; "" where nothing is.

    Raises:
        DriverError: a task may still run.
    """
    left = results.load(directory)
    had_task = Path(directory, jobs.RECORD).exists()
    ended, problem = False, ""
    try:
        end_job(directory, cause, "reaped" if reaped else status, patience=patience)
        ended = True
    finally:
        if left:
            records = str(Path(directory).parent)
            orphan = reaped and ended and had_task
            problem = record.over(left, records, status, reaped=reaped, orphan=orphan)
            if not ended:
                results.settle(directory, left.text_file)
    return problem
