"""As much of PromQL as the dashboard and the alert rules use: which metrics, with which labels."""

from __future__ import annotations

import re
from typing import NamedTuple

_METRIC = re.compile(r"\b([a-z]+_[a-z_]+)(\{([^}]*)\})?(?=\W|$)(?!\()")
_MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_BY = re.compile(r"\b(?:by|on) \(([a-z_, ]*)\)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class Selector(NamedTuple):
    """A metric, and its label matchers: name, operator, value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> list[Selector]:
    """The metrics that an expression reads."""
    found = []
    bare = _BY.sub("", expression)
    for match in _METRIC.finditer(bare):
        matchers = tuple(_MATCHER.findall(match[3] or ""))
        assert not _MATCHER.sub("", match[3] or "").strip(", "), expression
        found.append(Selector(match[1], matchers))
    return found


def groupings(expression: str) -> set[str]:
    """The labels by which an expression groups or joins."""
    lists = _BY.findall(_STRING.sub('""', expression))
    return {label.strip() for one in lists for label in one.split(",")}


def selects(matcher: tuple[str, str, str], value: str) -> bool:
    """Whether a matcher takes a label's value; its regular expressions are anchored."""
    _, operator, wanted = matcher
    wanted = wanted.replace("\\\\", "\\")
    same = bool(re.fullmatch(wanted, value)) if "~" in operator else wanted == value
    return same != operator.startswith("!")
