"""The sizes that a Fargate task can have, for the advice to take a larger one.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
"""

from __future__ import annotations

import re

_MEMORY: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
"""MiB of memory that go with so many CPU units."""


def next_size(cpu: int, memory: int) -> tuple[int, int] | None:
    """Find the smallest size with more memory.

    Args:
        cpu: the task's CPU units now.
        memory: the task's MiB of memory now.

    Returns:
        CPU units, as few as possible but no fewer than now, and MiB of memory; None at the end of
        the table.
    """
    larger = [
        (mib, units)
        for units, choices in _MEMORY.items()
        for mib in choices
        if units >= cpu and mib > memory
    ]
    if not larger:
        return None
    mib, units = min(larger)
    return units, mib


def amount(value: object) -> int | None:
    """Read CPU units or MiB as DescribeTasks gives them, a string of digits; else None."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else None
