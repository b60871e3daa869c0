"""Whether a launch that failed is worth another: what its verdict says, where that may be acted on.

A job never has two tasks, and nobody's decision to end one is undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.ecs.errors import NO_TASK_STARTED, EcsError, TaskStoppedError
from fargate_driver.ecs.facts import CONTAINER_EXITED, culprit
from fargate_driver.ecs.verdict import Retry

if TYPE_CHECKING:
    from collections.abc import Collection


def again(
    error: EcsError | TaskStoppedError, container_name: str, essential: Collection[str] = ()
) -> Retry:
    """Judge a launch that failed.

    Args:
        error: what ended it.
        container_name: the container that the job was to run in.
        essential: as of facts.culprit.

    Returns:
        RELAUNCH and WAIT for another launch where it was, NEXT_CAPACITY for one elsewhere, NEVER
        where another would fare the same, or where it isn't sure that this one left no task.
    """
    if error.verdict is None:
        return Retry.NEVER
    retry = error.verdict.retry
    if isinstance(error, TaskStoppedError):
        over = error.task.get("desiredStatus") == "STOPPED"
        # A container that ran, and ended: so will the next one's, whatever its reason quotes. ECS
        # gives an exit code to containers that ran only; some pulls that failed end in the same
        # stop code (https://github.com/aws/amazon-ecs-agent/issues/1654).
        ran = culprit(error.task, container_name, essential).get("exitCode") is not None
        by_itself = ran and error.task.get("stopCode") == CONTAINER_EXITED
        return Retry.NEVER if not over or by_itself else retry
    if error.operation != "RunTask" or not error.refused:
        return Retry.NEVER
    # The client has made the same call again for as long as that made sense.
    waited = retry is Retry.WAIT and error.code != NO_TASK_STARTED
    return Retry.NEVER if waited else retry
