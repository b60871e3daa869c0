"""Fills the templates of the infrastructure in.

A line `@if NAME` or `@if !NAME`, up to `@end`, is for those who chose, or did not choose, that;
`@{name}` alone on a line takes text of many lines, indented like itself; elsewhere it takes a word.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

_PLACE = re.compile(r"@\{([a-z_]+)\}")
_INDENTED = re.compile(r"(?m)^( *)@\{([a-z_]+)\}$")


def render(template: str, chosen: Set[str], words: Mapping[str, str]) -> str:
    """Make a file of a template.

    Args:
        template: Its name in templates/.
        chosen: The names that hold.
        words: The texts.

    Raises:
        KeyError: The template asks for a text that isn't there.
        ValueError: An `@if` of it has no `@end`.
    """
    source = resources.files("fargate_driver.setup").joinpath("templates", template)
    text = "\n".join(_kept(source.read_text("utf-8").splitlines(), chosen)) + "\n"

    def block(match: re.Match[str]) -> str:
        lines = words[match[2]].splitlines()
        return "\n".join(match[1] + line if line else "" for line in lines)

    # One pass over each line: what is filled in is never read as a template.
    return "\n".join(
        _INDENTED.sub(block, line)
        if _INDENTED.fullmatch(line)
        else _PLACE.sub(lambda match: words[match[1]], line)
        for line in text.split("\n")
    )


def _kept(lines: list[str], chosen: Set[str]) -> list[str]:
    kept, open_ = [], [True]
    for line in lines:
        word, _, name = line.strip().partition(" ")
        if word == "@if":
            holds = (name.removeprefix("!") in chosen) != name.startswith("!")
            open_.append(open_[-1] and holds)
        elif word == "@end":
            open_.pop()
        elif open_[-1]:
            kept.append(line)
    if len(open_) != 1:
        raise ValueError("an @if has no @end")
    return kept
