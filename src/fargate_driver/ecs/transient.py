"""Which failed starts are worth another one.

ECS tells most of it in words only; the words are its own, from
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from fargate_driver.ecs.errors import EcsError, TaskStoppedError

if TYPE_CHECKING:
    Again = Literal["capacity", "transient"]

_CAPACITY = re.compile(
    r"capacity is unavailable at this time"
    r"|reached the limit on the number of vCPUs"
    r"|InsufficientFreeAddressesInSubnet",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(
    r"timeout waiting for network interface provisioning"
    r"|timeout waiting for ephemeral ?storage provisioning"
    r"|CannotPull.*i/o timeout"
    r"|unexpected EC2 error"
    r"|\binternal ?(server ?)?(error|failure)\b",
    re.IGNORECASE | re.DOTALL,
)
_FOR_GOOD = re.compile(r"Unauthorized|AccessDenied|AuthFailure|NotFound", re.IGNORECASE)
"""EC2's own codes within an "unexpected" error: rights and ids that only an operator can mend."""
_TAKEN_AWAY = ("SpotInterruption", "TerminationNotice")
"""AWS took the machine back; https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
(stopCode)."""


def again(error: Exception) -> Again | None:
    """Judge a launch that failed.

    Args:
        error: what ended it.

    Returns:
        "capacity" where other capacity may have what this one lacks, "transient" where the same
        may work at once, None where another task would fare the same, or where it isn't sure that
        the failed launch left none.
    """
    if isinstance(error, TaskStoppedError):
        return _stopped(error.task)
    if isinstance(error, EcsError) and error.operation == "RunTask" and error.refused:
        return "capacity" if _CAPACITY.search(str(error)) else None
    return None


def _stopped(task: dict[str, Any]) -> Again | None:
    if task.get("desiredStatus") != "STOPPED":
        return None
    code = task.get("stopCode")
    if code in _TAKEN_AWAY:
        return "capacity"
    if code not in (None, "", "TaskFailedToStart"):
        return None
    reasons = [task.get("stoppedReason"), *(c.get("reason") for c in task.get("containers", []))]
    text = "\n".join(str(reason) for reason in reasons if reason)
    if _CAPACITY.search(text):
        return "capacity"
    if _TRANSIENT.search(text) and not _FOR_GOOD.search(text):
        return "transient"
    return None
