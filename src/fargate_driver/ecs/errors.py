"""What can go wrong with ECS."""

from __future__ import annotations

from fargate_driver.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class EcsError(DriverError):
    """A call of AWS failed.

    Args:
        text: one line for people.
        operation: the API operation's name.
        code: AWS's error code, or "" where no answer came.
        refused: whether AWS answered that it did nothing. Without an answer, or with one that
            blames AWS itself (HTTP 5xx), the effect may have taken place.

    Attributes:
        passing: whether the same call may work a moment later.
    """

    passing = False

    def __init__(self, text: str, operation: str, code: str = "", *, refused: bool = False) -> None:
        super().__init__(text)
        self.operation = operation
        self.code = code
        self.refused = refused


class TaskStoppedError(DriverError):
    """The task stopped while the driver needed it.

    Args:
        text: why, in one or more lines.
        task: the task as DescribeTasks shows it.
    """

    def __init__(self, text: str, task: dict[str, Any]) -> None:
        super().__init__(text)
        self.task = task


class StartTimeoutError(DriverError):
    """The task was not usable within StartTimeout."""
