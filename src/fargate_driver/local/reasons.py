"""AWS's words for why a task ended.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

ESSENTIAL_EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
SPOT = "Your Spot Task was interrupted."
STOPPED_BY_USER = "Task stopped by user"


def cannot_pull(image: str) -> str:
    """Return the reason for an image that its registry doesn't have."""
    reference = image if "/" in image else f"library/{image}"
    first = reference.partition("/")[0]
    if "." not in first and ":" not in first and first != "localhost":
        reference = f"docker.io/{reference}"
    if "@" not in reference and ":" not in reference.rpartition("/")[2]:
        reference += ":latest"
    return (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
        f"failed to resolve ref {reference}: {reference}: not found"
    )


def cannot_start(error: object) -> str:
    """Return the reason for a container that the machine couldn't start."""
    return f"ResourceInitializationError: failed to start the container: {error}"
