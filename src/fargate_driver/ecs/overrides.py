"""What one job adds to its derived task definition when it is started.

Whoever may call DescribeTasks, or read CloudTrail, sees it: nothing secret belongs here.
Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fargate_driver.ecs.derive import HELPER_CONTAINER
from fargate_driver.ecs.words import one_line
from fargate_driver.errors import JobConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.gitlab.images import JobImages
    from fargate_driver.gitlab.services import Service
    from fargate_driver.settings import Settings

_LONGEST = 8192
"""Characters of RunTask's overrides, JSON included (API_RunTask: overrides)."""
_NAMED = 3


def overrides(
    config: Settings,
    images: JobImages,
    public_key: str,
    lifetime: int,
    *,
    task: Mapping[str, Any],
    limits: Mapping[str, int],
) -> dict[str, Any]:
    """Make the `overrides` of RunTask.

    Args:
        config: The settings.
        images: What the job runs in.
        public_key: The job's public key, one line.
        lifetime: Seconds after which the task ends by itself, whoever forgets it.
        task: What is overridden for the whole task, as the job's choices have it.
        limits: Of the job's container, in place of those of its definition.

    Raises:
        JobConfigurationError: It is longer than ECS takes.
    """
    environment = [
        {"name": "SSH_PUBLIC_KEY", "value": public_key},
        {"name": "FARGATE_MAX_LIFETIME", "value": str(lifetime)},
    ]
    containers: list[dict[str, Any]] = [
        {"name": name, "environment": environment}
        for name in (config.fargate.container_name, HELPER_CONTAINER)
    ]
    containers[0] |= limits
    for service in images.services:
        own = _service(service)
        if own:
            containers.append({"name": service.container, **own})
    found = {**task, "containerOverrides": containers}
    length = len(json.dumps(found, separators=(",", ":")))
    if length > _LONGEST:
        raise JobConfigurationError(_too_long(images, length))
    return found


def _service(service: Service) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if service.variables:
        own["environment"] = [{"name": k, "value": v} for k, v in service.variables]
    if service.command and service.secret_command:
        own["command"] = list(service.command)
    return own


def _too_long(images: JobImages, length: int) -> str:
    sizes = [
        (len(value), key, service.aliases[-1])
        for service in images.services
        for key, value in service.variables
    ]
    largest = ", ".join(
        f"{one_line(key, 60)} of {alias} ({size})"
        for size, key, alias in sorted(sizes, reverse=True)[:_NAMED]
    )
    return (
        f"services: their variables make RunTask's overrides {length} characters long; ECS takes"
        f" {_LONGEST}; the longest: {largest}. Each service gets its own variables and the job's,"
        " but those of `default:` or `include:` that no service needs can be set in the script"
    )
