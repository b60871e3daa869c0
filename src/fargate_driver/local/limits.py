"""AWS's request rates, as token buckets per region.

Source: https://docs.aws.amazon.com/AmazonECS/latest/userguide/throttling.html (RunTask 20 calls a second, launches a
bucket of 100 filled with 20 a second, on demand and Spot each). DescribeTasks' rate is not published: 20 a second is
an assumption. RegisterTaskDefinition's (20 at once, 1 a second) is what users report AWS's page to say.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fargate_driver.local.api_errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Rate:
    """How many tokens a bucket holds, and how many flow in per second."""

    burst: float
    per_second: float


AWS_RATES: Mapping[str, Rate] = {
    "RunTask": Rate(20, 20),
    "launch FARGATE": Rate(100, 20),
    "launch FARGATE_SPOT": Rate(100, 20),
    "DescribeTasks": Rate(20, 20),
    "RegisterTaskDefinition": Rate(20, 1),
}


class Limits:
    """The buckets of all regions; what has no rate is not limited.

    Args:
        rates: The rate by name: an operation, or `launch` and a capacity provider.
        clock: Seconds that never go backwards.
    """

    def __init__(
        self, rates: Mapping[str, Rate], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, region: str, name: str, tokens: int = 1) -> None:
        """Take tokens from a bucket, or none at all.

        Raises:
            ApiError: there are not enough (ThrottlingException, HTTP 400).
        """
        rate = self._rates.get(name)
        if rate is None:
            return
        now = self._clock()
        level, then = self._buckets.get((region, name), (rate.burst, now))
        level = min(rate.burst, level + (now - then) * rate.per_second)
        allowed = level >= tokens
        self._buckets[region, name] = (level - tokens if allowed else level, now)
        if not allowed:
            raise ApiError("ThrottlingException", "Rate exceeded")
