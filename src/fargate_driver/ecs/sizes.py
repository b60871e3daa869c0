"""The sizes that a Fargate task can have.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
LARGEST_CPU = 16384
LARGEST_MEMORY = 122880
_STORAGE = range(21, 200 + 1)
"""GiB of ephemeral storage that can be asked for; 20 is what a task has anyway."""
_AMOUNT = re.compile(r"([0-9]{0,7}(?:\.[0-9]{1,3})?) ?([a-z]*)", re.IGNORECASE | re.ASCII)


def is_size(cpu: int, memory: int) -> bool:
    """Whether so many CPU units and so much memory, in MiB, go together."""
    return memory in _MEMORY.get(cpu, ())


def fitting(cpu: int, memory: int, *, most_cpu: int, most_memory: int) -> tuple[int, int] | None:
    """The smallest size with at least so much of both.

    Args:
        cpu: CPU units.
        memory: MiB.
        most_cpu: CPU units that it may have.
        most_memory: MiB that it may have.
    """
    enough = (s for s in _within(most_cpu, most_memory) if s[0] >= cpu and s[1] >= memory)
    return min(enough, default=None)


def completed(
    cpu: int, memory: int, *, most_cpu: int, most_memory: int, keep_cpu: bool
) -> tuple[int, int] | None:
    """The size that keeps one of both and is nearest to the other.

    Args:
        cpu: CPU units.
        memory: MiB.
        most_cpu: CPU units that it may have.
        most_memory: MiB that it may have.
        keep_cpu: Whether it is the CPU units that must not change; else the memory.
    """
    kept, free = (0, 1) if keep_cpu else (1, 0)
    wanted = (cpu, memory)
    sound = (s for s in _within(most_cpu, most_memory) if s[kept] == wanted[kept])
    return min(sound, key=lambda s: abs(s[free] - wanted[free]), default=None)


def nearest(cpu: int, memory: int, *, most_cpu: int, most_memory: int) -> tuple[int, int] | None:
    """The size to propose instead of one that isn't there: the one that fits, else a smaller one.

    Args:
        cpu: CPU units.
        memory: MiB.
        most_cpu: CPU units that it may have.
        most_memory: MiB that it may have.
    """
    fits = fitting(cpu, memory, most_cpu=most_cpu, most_memory=most_memory)
    return fits or max(_within(most_cpu, most_memory), key=lambda s: (s[1], -s[0]), default=None)


def nearest_cpu(units: int, most: int) -> int:
    """The CPU units that Fargate has, up to some most, that are closest to a number."""
    return min((c for c in _MEMORY if c <= most), key=lambda c: abs(c - units))


def nearest_memory(mib: int, most: int) -> int:
    """The MiB that Fargate has, up to some most, that are closest to a number."""
    return min((m for _, m in _within(LARGEST_CPU, most)), key=lambda m: abs(m - mib))


def _within(most_cpu: int, most_memory: int) -> Iterator[tuple[int, int]]:
    for cpu, choices in _MEMORY.items():
        for memory in choices:
            if cpu <= most_cpu and memory <= most_memory:
                yield cpu, memory


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


def cpu_units(text: str) -> int | None:
    """Read CPU as ECS takes it, `1024` or `1 vCPU`; None for neither."""
    return _read(text, "vcpu")


def memory_mib(text: str) -> int | None:
    """Read memory as ECS takes it, `2048` or `2 GB`; None for neither."""
    return _read(text, "gb")


def is_cpu(units: int) -> bool:
    """Whether a task can have so many CPU units."""
    return units in _MEMORY


def is_memory(mib: int) -> bool:
    """Whether a task can have so many MiB of memory."""
    return any(mib in choices for choices in _MEMORY.values())


def storage_gib(text: str) -> int | None:
    """Read ephemeral storage, `100` or `100 GB`; None for neither."""
    match = re.fullmatch(r"([0-9]{1,7})( ?Gi?B)?", text, re.IGNORECASE | re.ASCII)
    return int(match[1]) if match else None


def is_storage(gib: int) -> bool:
    """Whether so many GiB of ephemeral storage can be asked for."""
    return gib in _STORAGE


def shown_cpu(units: int) -> str:
    """CPU for people."""
    return f"{units / 1024:g} vCPU"


def shown_memory(mib: int) -> str:
    """Memory for people."""
    return f"{mib / 1024:g} GB"


def _read(text: str, unit: str) -> int | None:
    match = _AMOUNT.fullmatch(text)
    if not match or not match[1]:
        return None
    if match[2].lower() == unit:
        return round(float(match[1]) * 1024)
    return int(match[1]) if not match[2] and "." not in match[1] else None
