"""Which capacity to launch on, and on which one next."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fargate_driver.settings import Capacity

TRIES = 4
"""Launches of one job on each capacity."""
_FIRST_PAUSE = 2.0
"""Seconds before a capacity is tried a second time; three times as long before each further try."""


class Plan:
    """The launches of one prepare.

    Args:
        capacities: `[[Capacity]]`; none means the one that the cluster chooses by default.

    Attributes:
        capacity: what to launch on now.
    """

    def __init__(self, capacities: Sequence[Capacity]) -> None:
        self._capacities: list[Capacity | None] = [*capacities] or [None]
        self._tries = [0] * len(self._capacities)
        self._begin(0)

    def next(self, *, elsewhere: bool) -> float | None:
        """Choose the capacity for another launch.

        A start that failed by chance is tried again where it was; missing capacity is looked for
        in the rest of the list, then from its beginning.

        Args:
            elsewhere: whether the latest launch found no capacity.

        Returns:
            Seconds to wait before it, or None: everything was tried often enough.
        """
        count = len(self._capacities)
        first = self._index + elsewhere
        order = [(first + step) % count for step in range(count)]
        for index in order:
            if self._tries[index] < TRIES:
                tried = self._tries[index]
                self._begin(index)
                longest = _FIRST_PAUSE * 3 ** (tried - 1) if tried else 0.0
                return longest * random.uniform(0.5, 1.5)  # noqa: S311 - spreads calls
        return None

    def _begin(self, index: int) -> None:
        self._index = index
        self._tries[index] += 1
        self.capacity = self._capacities[index]

    def __str__(self) -> str:
        return self.capacity.label if self.capacity else "the cluster's default capacity"
