"""What a value of `[Images]` and `[Allow]` may look like; see values.py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fargate_driver.ecs import reference, sizes
from fargate_driver.settings import values

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILY = "[A-Za-z0-9_][A-Za-z0-9_-]{0,199}"
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html
SECRET = re.compile(
    values.ARN.format(
        service="secretsmanager", region="[a-z0-9-]+", resource="secret:[A-Za-z0-9/_+=.@-]{1,519}"
    )
)
ARCHITECTURES = ("X86_64", "ARM64")
CPU_FORM = 'CPU units or vCPU that Fargate has: 256, 512, 1024 … 16384, "0.25 vCPU" … "16 vCPU"'
MEMORY_FORM = 'MiB or GB that Fargate has: 512, 1024 … 122880, "0.5 GB" … "120 GB"'
STORAGE_FORM = "GiB from 21 to 200"
_PATTERN = re.compile(r"[!-~]{1,500}")
_MEANT_OTHERWISE = re.compile(r"[\[\]{}!^]")
"""Part of patterns elsewhere: taken literally, it would be a surprise."""


def image(value: str) -> str:
    """An image's name."""
    try:
        reference.parse(value)
    except ValueError as error:
        raise ValueError(f"{values.shown(value)} {error}") from error
    return value


def _size(read: Callable[[str], int | None], is_one: Callable[[int], bool]) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"is {values.kind(value)}")  # noqa: TRY004 - pydantic collects these
        text = values.shown(value) if isinstance(value, int) else value
        found = read(text)
        if found is None or not is_one(found):
            raise ValueError(f"{values.shown(value)} is no size of Fargate")
        return found

    return check


cpu = _size(sizes.cpu_units, sizes.is_cpu)
memory = _size(sizes.memory_mib, sizes.is_memory)
storage = _size(sizes.storage_gib, sizes.is_storage)


def unprivileged_port(value: int) -> int:
    """A TCP port that needs no root to be listened at."""
    if not 1024 <= value <= values.PORTS:
        raise ValueError(f"{values.shown(value)} is out of range")
    return value


def _strings(value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError(f"is {values.kind(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"has {values.kind(item)} in it")  # noqa: TRY004 - see above
    return items


def _check_pattern(item: str) -> None:
    if not _PATTERN.fullmatch(item):
        raise ValueError(f"{values.shown(item)} is not allowed")
    other = _MEANT_OTHERWISE.search(item)
    if other:
        raise ValueError(f"{values.shown(item)} holds {other[0]}, which patterns here don't know")


def patterns(value: Any) -> tuple[str, ...]:
    """A pattern or a list of patterns for patterns.matches; an empty list lets nothing pass."""
    items = _strings(value)
    for item in items:
        _check_pattern(item)
    return tuple(items)


def architectures(value: Any) -> tuple[str, ...]:
    """One or both of ARCHITECTURES, or none."""
    items = _strings(value)
    for item in items:
        if item not in ARCHITECTURES:
            raise ValueError(f"{values.shown(item)} is not allowed")
    return tuple(items)


def registry_credentials(value: Any) -> dict[str, str]:
    """ARNs of secrets by pattern."""
    if not isinstance(value, dict):
        raise ValueError(f"is {values.kind(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    for pattern, secret in value.items():
        _check_pattern(pattern)
        if not isinstance(secret, str) or not SECRET.fullmatch(secret):
            wrong = values.shown(secret) if isinstance(secret, str) else values.kind(secret)
            raise ValueError(f"{values.shown(pattern)} has {wrong}, which is no secret's ARN")
    return value
