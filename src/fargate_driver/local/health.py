"""The health checks of containers.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from fargate_driver.local.runtimes.base import RuntimeUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fargate_driver.local.runtimes.base import RunningContainer

_LEAST_TIMEOUT = 5.0
"""Real seconds that a command gets at least: the time scale doesn't make programs faster."""
_LEAST_PAUSE = 0.01


async def states(
    check: dict[str, Any],
    container: RunningContainer,
    ended: asyncio.Event,
    time_scale: Callable[[], float],
) -> AsyncIterator[str]:
    """Run a check again and again until the container ends, and yield what follows for its health.

    Args:
        check: The definition's `healthCheck`, defaults filled in.
        container: The container, just started.
        ended: Set once it has ended.
        time_scale: What the check's seconds are multiplied by.

    Yields:
        HEALTHY or UNHEALTHY after each check that decides it; also where nothing changes.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    healthy = False
    failures = 0
    while True:
        pause = max(check["interval"] * time_scale(), _LEAST_PAUSE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), pause)
        if ended.is_set():
            return
        limit = max(check["timeout"] * time_scale(), _LEAST_TIMEOUT)
        in_start_period = clock() - started < check["startPeriod"] * time_scale()
        passed = await _passes(container, _command(check["command"]), limit)
        if ended.is_set():
            return  # what it says of a container that ends is no verdict
        if passed:
            healthy, failures = True, 0
            yield "HEALTHY"
        elif healthy or not in_start_period:
            failures += 1
            if failures >= check["retries"]:
                healthy = False
                yield "UNHEALTHY"


async def _passes(container: RunningContainer, command: list[str], limit: float) -> bool:
    try:
        return await container.run(command, limit) == 0
    except (OSError, RuntimeUnavailableError):  # there is no such program
        return False


def _command(words: list[str]) -> list[str]:
    kind, *rest = words
    return ["/bin/sh", "-c", *rest] if kind == "CMD-SHELL" else rest
