"""What a job's task costs by now: prepare leaves it in the job's directory, later stages tell.

Billed is the time from the start of the image's pull to the task's end, by the second, for a minute
at least. Source: https://aws.amazon.com/fargate/pricing/.

The last stage of run reads it, so it imports no more than that one does: hence floats, and lines of
a value each instead of JSON.
"""

from __future__ import annotations

import os
import time

_NAME = "bill"
_LEAST = 60.0
"""Seconds that are billed at least, for Linux tasks."""


class Bill:
    """What a task costs.

    Args:
        size: how large it is, in words.
        hourly: US dollars per hour; None where its price is unknown.
        begun: since when it is billed, in seconds since the epoch.
    """

    __slots__ = ("begun", "hourly", "size")

    def __init__(self, size: str, hourly: float | None, begun: float) -> None:
        self.size = size
        self.hourly = hourly
        self.begun = begun

    def cost(self) -> float | None:
        """US dollars until now; None where the price is unknown."""
        if self.hourly is None:
            return None
        return self.hourly * max(time.time() - self.begun, _LEAST) / 3600

    def words(self) -> str:
        """How long, how large and how much: a line of the job's log."""
        seconds = max(int(time.time() - self.begun), 0)
        cost = self.cost()
        price = "its price is unknown" if cost is None else f"about ${shown(cost)} on AWS"
        return f"the task has run for {duration(seconds)} with {self.size}: {price}"

    def save(self, directory: str) -> None:
        """Leave it in the job's directory.

        Raises:
            OSError: it can't be written.
        """
        hourly = "" if self.hourly is None else repr(self.hourly)
        with open(os.path.join(directory, _NAME), "w", encoding="utf-8") as file:
            file.write(f"{self.size}\n{hourly}\n{self.begun!r}\n")


def load(directory: str) -> Bill | None:
    """Read what prepare left.

    Args:
        directory: the job's directory.

    Returns:
        The bill, or None where there is none that can be read: no job depends on it.
    """
    try:
        with open(os.path.join(directory, _NAME), encoding="utf-8") as file:
            size, hourly, begun = file.read().splitlines()
        return Bill(size, float(hourly) if hourly else None, float(begun))
    except (OSError, ValueError):
        return None


def shown(dollars: float) -> str:
    """US dollars with two digits that say something, cents at least: `1.23`, `0.0012`."""
    decimals = next((n for n in range(2, 6) if dollars >= 10.0 ** (1 - n)), 6)
    return f"{dollars:.{decimals}f}"


def duration(seconds: int) -> str:
    """`42 s`, `3 min 5 s` or `2 h 0 min`."""
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
