"""AWS's words for why a task ended.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

from fargate_driver.local.image_store.names import BadNameError, canonical

ESSENTIAL_EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
FAILED_TO_START = "Task failed to start"
SPOT = "Your Spot Task was interrupted."
STOPPED_BY_USER = "Task stopped by user"


def cannot_pull(image: str) -> str:
    """Return the reason for an image that its registry doesn't have."""
    try:
        reference = canonical(image)
    except BadNameError:
        reference = image
    return (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
        f"failed to resolve ref {reference}: {reference}: not found"
    )


def wrong_platform(platform: str) -> str:
    """Return the reason for an image that there is not for `linux/arm64`, say."""
    return (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
        f"image Manifest does not contain descriptor matching platform '{platform}'"
    )


def no_secret(value_from: str) -> str:
    """Return the reason for a container's secret that doesn't exist, given by ARN or name."""
    if ":secretsmanager:" in value_from:
        store = "secret from asm"
        problem = (
            f"failed to fetch secret {value_from} from secrets manager: ResourceNotFoundException: "
            "Secrets Manager can't find the specified secret."
        )
    else:
        store = "secrets from ssm"
        problem = f"invalid parameters: {value_from}"
    return (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        f"retrieval failed: unable to retrieve {store}: service call has been retried 1 time(s): "
        f"{problem}"
    )


def no_file_system(file_system: str, region: str) -> str:
    """Return the reason for an EFS file system that doesn't exist."""
    return (
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: "
        f'stderr: Failed to resolve "{file_system}.efs.{region}.amazonaws.com" - check that your '
        "file system ID is correct"
    )


def cannot_start(error: object) -> str:
    """Return the reason for a task that the machine couldn't start."""
    return f"ResourceInitializationError: failed to start the container: {error}"


def cannot_start_container(error: object) -> str:
    """Return the reason for a container that couldn't be started while others could."""
    return f"CannotStartContainerError: {error}"
