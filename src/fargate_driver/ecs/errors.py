"""What can go wrong with ECS."""

from __future__ import annotations

from fargate_driver.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fargate_driver.ecs.verdict import Verdict


NO_TASK_STARTED = "NoTaskStarted"
"""Our own code for HTTP 200 with failures alone, which RunTask answers for want of capacity."""


class EcsError(DriverError):
    """A call of AWS failed.

    Args:
        text: one line for people.
        operation: the API operation's name.
        code: AWS's error code, NO_TASK_STARTED, or "" where no answer came.
        message: AWS's own words.
        refused: whether it is certain that the call had no effect. Where an answer is missing, or
            blames AWS itself (HTTP 5xx), the effect may have taken place.
        verdict: what AWS's words mean; None where the driver itself found fault.

    Attributes:
        passing: whether the same call may work a moment later.
    """

    passing = False

    def __init__(
        self,
        text: str,
        operation: str,
        code: str = "",
        message: str = "",
        *,
        refused: bool = False,
        verdict: Verdict | None = None,
    ) -> None:
        super().__init__(text)
        self.verdict = verdict
        self.operation = operation
        self.code = code
        self.message = message
        self.refused = refused


class TaskStoppedError(DriverError):
    """The task stopped while the driver needed it.

    Args:
        text: why, in one or more lines.
        task: the task as DescribeTasks shows it.
        verdict: why it stopped; None where the driver gives up a task that runs.
    """

    def __init__(self, text: str, task: dict[str, Any], verdict: Verdict | None = None) -> None:
        super().__init__(text)
        self.task = task
        self.verdict = verdict


class StartTimeoutError(DriverError):
    """The task was not usable within StartTimeout."""
