"""The health checks of containers.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fargate_driver.local.runtimes.base import RunningContainer

_LEAST_TIMEOUT = 5.0
"""Real seconds that a command gets at least: the time scale doesn't make programs faster."""
_LEAST_PAUSE = 0.01


async def states(
    check: dict[str, Any], container: RunningContainer, time_scale: Callable[[], float]
) -> AsyncIterator[str]:
    """Run a check again and again, and yield what follows for the container's health.

    Args:
        check: The definition's `healthCheck`, defaults filled in.
        container: The container, just started.
        time_scale: What the check's seconds are multiplied by.

    Yields:
        HEALTHY or UNHEALTHY after each check that decides it; also where nothing changes.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    healthy = False
    failures = 0
    while True:
        await asyncio.sleep(max(check["interval"] * time_scale(), _LEAST_PAUSE))
        limit = max(check["timeout"] * time_scale(), _LEAST_TIMEOUT)
        in_start_period = clock() - started < check["startPeriod"] * time_scale()
        if await container.run(_command(check["command"]), limit) == 0:
            healthy, failures = True, 0
            yield "HEALTHY"
        elif healthy or not in_start_period:
            failures += 1
            if failures >= check["retries"]:
                healthy = False
                yield "UNHEALTHY"


def _command(words: list[str]) -> list[str]:
    kind, *rest = words
    return ["/bin/sh", "-c", *rest] if kind == "CMD-SHELL" else rest
