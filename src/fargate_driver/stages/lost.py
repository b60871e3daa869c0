"""What is said when the connection to the task is lost: ECS knows why, or that it isn't ECS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fargate_driver.ecs import watch
from fargate_driver.ecs.client import Ecs
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from fargate_driver.jobs import JobRecord

_PATIENCE = 15.0
"""Seconds to wait for ECS to notice that a task ended."""


def why(record: JobRecord) -> str:
    """Ask ECS what became of the job's task.

    Args:
        record: the job's record.

    Returns:
        One line.
    """
    if not record.task_arn:
        return "the job has no task"
    deadline = time.monotonic() + _PATIENCE
    try:
        ecs = Ecs(record.target, deadline=deadline)
        while True:
            task = ecs.describe_task(record.task_arn)
            if task and task.get("desiredStatus") == "STOPPED":
                return f"the task stopped: {watch.why_stopped(watch.until_stopped(ecs, task))}"
            if time.monotonic() > deadline:
                break
            time.sleep(1)
    except DriverError as e:
        return f"ECS can't be asked why: {e}"
    if not task:
        return "ECS does not know the task any more"
    return (
        f"ECS shows the task as {task.get('lastStatus')}: it lives on, so the network between the"
        " manager and it, or its SSH server, is at fault"
    )
