"""From a task as DescribeTasks shows it to its bill."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fargate_driver.costs.bill import Bill
from fargate_driver.costs.prices import FREE_STORAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.costs.prices import Price

_ARCHITECTURE = "ecs.cpu-architecture"
"""The task's attribute; its values are x86_64 and arm64
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-constraints.html)."""


def bill(
    task: dict[str, Any], region: str, prices: Mapping[tuple[str, str, bool], Price]
) -> Bill | None:
    """Make the bill of a task.

    Args:
        task: as DescribeTasks shows it, with moments in seconds since the epoch.
        region: where it runs.
        prices: by region, architecture and whether it is Spot.

    Returns:
        The bill; None where ECS doesn't show the task's size.
    """
    try:
        cpu, memory = int(task["cpu"]), int(task["memory"])
    except (KeyError, ValueError):
        return None
    storage = int(task.get("ephemeralStorage", {}).get("sizeInGiB") or FREE_STORAGE)
    provider = str(task.get("capacityProviderName") or task.get("launchType") or "")
    architecture = _architecture(task)
    price = prices.get((region, architecture, provider == "FARGATE_SPOT"))
    hourly = price.hourly(cpu, memory, storage) if price else None
    parts = [f"{cpu / 1024:g} vCPU", f"{memory / 1024:g} GB"]
    if storage > FREE_STORAGE:
        parts.append(f"{storage} GB of storage")
    about = ", ".join(name for name in (provider, architecture) if name)
    begun = task.get("pullStartedAt") or task.get("createdAt") or time.time()
    size = f"{', '.join(parts)} ({about})" if about else ", ".join(parts)
    return Bill(size, None if hourly is None else float(hourly), float(begun))


def _architecture(task: dict[str, Any]) -> str:
    """X86_64, ARM64, or "" where ECS doesn't say."""
    found = (a.get("value") for a in task.get("attributes", ()) if a.get("name") == _ARCHITECTURE)
    return str(next(found, None) or "").upper()
