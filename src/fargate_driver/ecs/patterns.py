"""Patterns of names, as GitLab's Docker executor has them in allowed_images.

`*` stands for anything but a slash, `**` for anything, `?` for one character but a slash.
Source: https://docs.gitlab.com/runner/executors/docker/#restrict-docker-images-and-services
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MEANINGS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|[*?])", pattern)
    return re.compile("".join(_MEANINGS.get(p) or re.escape(p) for p in parts), re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name is one that the pattern means."""
    return _compiled(pattern).fullmatch(name) is not None


def any_matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns means the name."""
    return any(matches(pattern, name) for pattern in patterns)
