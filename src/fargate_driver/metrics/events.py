"""What one process has to add to the metrics, collected until it is saved all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.metrics.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator


class Events:
    """Counts and observations of one process."""

    def __init__(self) -> None:
        self._found: list[tuple[str, tuple[str, ...], float]] = []

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Add to a counter.

        Args:
            name: of families.
            labels: the labels' values, in the family's order.
            by: how much.
        """
        self._add(name, labels, by)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Add an observation to a histogram.

        Args:
            name: of families.
            seconds: what was observed; clocks of others may make it negative, which counts as 0.
            labels: the labels' values, in the family's order.
        """
        self._add(name, labels, max(seconds, 0.0))

    def _add(self, name: str, labels: tuple[str, ...], amount: float) -> None:
        if len(labels) != len(FAMILIES[name].labels):
            raise ValueError(f"{name} has the labels {FAMILIES[name].labels}")
        self._found.append((name, labels, amount))

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """Name, values of the labels, and amount of each."""
        return iter(self._found)
