"""The sizes that a Fargate task can have.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
"""

from __future__ import annotations

import re

from fargate_driver.local.api_errors import client_error

_MEMORY: dict[int, range | tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""MiB of memory that go with so many CPU units."""

_AMOUNT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?) ?([a-z]*)", re.IGNORECASE | re.ASCII)


def cpu_units(text: str) -> int:
    """Return CPU units for `1024` or `1 vCPU`.

    Raises:
        ApiError: it is neither.
    """
    return _amount(text, "vcpu", "cpu")


def memory_mib(text: str) -> int:
    """Return MiB for `2048` or `2 GB`.

    Raises:
        ApiError: it is neither.
    """
    return _amount(text, "gb", "memory")


def check_size(cpu: int, memory: int) -> None:
    """Refuse what isn't in Fargate's table.

    Raises:
        ApiError: ClientException, with AWS's words.
    """
    if memory not in _MEMORY.get(cpu, ()):
        raise client_error(
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values."
        )


def _amount(text: str, unit: str, name: str) -> int:
    match = _AMOUNT.fullmatch(text.strip())
    if match and match[2].lower() == unit:
        return int(float(match[1]) * 1024)
    if match and not match[2] and "." not in match[1]:
        return int(match[1])
    raise client_error(f"Invalid '{name}' setting for task.")
