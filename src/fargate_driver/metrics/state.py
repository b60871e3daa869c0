"""What is counted so far, as it is kept on disk beside the textfile."""

from __future__ import annotations

import bisect
import json
from typing import TYPE_CHECKING, Any

from fargate_driver.metrics.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = 1


class State:
    """All counters, histograms and what each directory of records says about running tasks.

    Attributes:
        counters: by name and labels.
        histograms: by name and labels: a count for each bucket and for infinity, and the sum.
        alive: jobs with a task, by `[TaskMetadata] Directory`.
    """

    def __init__(self) -> None:
        self.counters: dict[tuple[str, tuple[str, ...]], int] = {}
        self.histograms: dict[tuple[str, tuple[str, ...]], tuple[list[int], float]] = {}
        self.alive: dict[str, int] = {}

    def add(self, events: Iterable[tuple[str, tuple[str, ...], float]]) -> None:
        """Add what a process collected.

        Args:
            events: name, labels, amount.
        """
        for name, labels, amount in events:
            buckets = FAMILIES[name].buckets
            if not buckets:
                self.counters[name, labels] = self.counters.get((name, labels), 0) + int(amount)
                continue
            counts, total = self.histograms.get((name, labels), ([0] * (len(buckets) + 1), 0.0))
            counts[bisect.bisect_left(buckets, amount)] += 1
            self.histograms[name, labels] = counts, total + amount

    def dump(self) -> str:
        """The text to keep."""
        return json.dumps(
            {
                "version": _VERSION,
                "counters": [[name, *labels, n] for (name, labels), n in self.counters.items()],
                "histograms": [
                    [name, *labels, counts, total]
                    for (name, labels), (counts, total) in self.histograms.items()
                ],
                "alive": self.alive,
            }
        )


def parse(text: str) -> State:
    """Read what `dump` made.

    Raises:
        ValueError: it is damaged, or of another version.
    """
    state = State()
    try:
        data: dict[str, Any] = json.loads(text)
        if data["version"] != _VERSION:
            raise ValueError(f"version {data['version']}")
        for name, *labels, n in data["counters"]:
            _check(name, labels)
            state.counters[name, tuple(labels)] = int(n)
        for name, *labels, counts, total in data["histograms"]:
            _check(name, labels)
            if len(counts) != len(FAMILIES[name].buckets) + 1:
                raise ValueError(f"{name} has other buckets")
            state.histograms[name, tuple(labels)] = [int(n) for n in counts], float(total)
        state.alive = {str(directory): int(n) for directory, n in data["alive"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ValueError(f"is damaged: {e!r}") from e
    return state


def _check(name: str, labels: list[str]) -> None:
    if len(labels) != len(FAMILIES[name].labels) or not all(type(one) is str for one in labels):
        raise ValueError(f"{name} has other labels")
