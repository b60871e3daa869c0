"""What a task may ask of AWS that the embedded Fargate doesn't have: it ends as for a wrong name.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from fargate_driver.local import reasons

if TYPE_CHECKING:
    from fargate_driver.local.task import Task

_PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
_MACHINES = {"x86_64": "X86_64", "aarch64": "ARM64"}


def machine_architecture() -> str:
    """Return what ECS calls this machine's processors; X86_64, its default, for unknown ones."""
    return _MACHINES.get(platform.machine(), "X86_64")


def reason_for(task: Task) -> str | None:
    """Return why a task can't start here; None where nothing speaks against it."""
    for container in task.containers:
        for secret in container.definition.get("secrets", []):
            return reasons.no_secret(secret["valueFrom"])
    for volume in task.volumes:
        if "efsVolumeConfiguration" in volume:
            return reasons.no_file_system(
                volume["efsVolumeConfiguration"]["fileSystemId"], task.region
            )
    if task.architecture != machine_architecture():
        return reasons.wrong_platform(_PLATFORMS[task.architecture])
    return None
