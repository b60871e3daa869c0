"""What is said when the connection to the task is lost: ECS knows why, or that it isn't ECS."""

from __future__ import annotations

import time

from fargate_driver import records
from fargate_driver.ecs import diagnosis, watch
from fargate_driver.ecs.client import CALLS, Ecs
from fargate_driver.errors import DriverError
from fargate_driver.metrics import results

_ONE_LOOK = 5.0
"""Seconds that one look may take while a new connection is tried."""


def why(directory: str, patience: float, *, connected: bool) -> str:
    """Ask ECS what became of the job's task.

    Args:
        directory: the job's directory.
        patience: seconds to wait for ECS to notice that the task ended.
        connected: whether the SSH connection stands. Then the task is about to end at most, which
            needs no long wait.

    Returns:
        One line.
    """
    deadline = time.monotonic() + (min(patience, 2) if connected else patience)
    try:
        while True:
            over, status = _look(directory, deadline)
            if over:
                return over
            if time.monotonic() > deadline:
                break
            time.sleep(1)
    except DriverError as e:
        return f"ECS can't be asked why: {e}"
    if not status:
        return "ECS does not know the task any more"
    if connected:
        return "the task and the connection to it live on, so look for the cause in the container"
    return (
        f"ECS shows the task as {status}: it lives on, so the network between the manager and it,"
        " or its SSH server, is at fault"
    )


def end_of_task(directory: str) -> str:
    """Why the job's task ended, as far as ECS knows now; "" where it lives or can't be seen.

    Args:
        directory: the job's directory.
    """
    try:
        return _look(directory, time.monotonic() + _ONE_LOOK)[0]
    except Exception:  # noqa: BLE001 - the script may run, or has a verdict of its own
        return ""


def _look(directory: str, deadline: float) -> tuple[str, str]:
    """Look at the task: why it ended, and what ECS shows it as; "" for neither."""
    record = records.load(directory)
    if not record or not record.task_arn:
        return "the job has no task any more", ""
    patience = max(deadline - time.monotonic(), 1.0)
    ecs = Ecs(record.target, deadline=deadline, longest_attempt=patience)
    try:
        task = ecs.describe_task(record.task_arn)
        if not task or task.get("desiredStatus") != "STOPPED":
            return "", str(task.get("lastStatus")) if task else ""
        verdict = diagnosis.of_stopped_task(
            watch.until_stopped(ecs, task),
            record.container,
            essential=record.launches[-1].essential,
        )
    finally:
        results.note_calls(directory, CALLS)
    results.note_verdict(directory, verdict.name)
    said = verdict.raw or "ECS gives no reason"
    return verdict.beside(f"the task stopped: {said}"), "STOPPED"
