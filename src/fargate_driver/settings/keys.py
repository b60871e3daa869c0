"""From the keys as people write them to the keys of the model.

Like the Go driver, keys and sections are taken in any letter case, and what isn't known is ignored;
unlike it, with a warning.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from fargate_driver.settings import values
from fargate_driver.settings.model import LISTS, SECTIONS, keys_of

# The Go driver before 0.2 read a key that the operator had made.
_LEGACY = {("SSH", "privatekeypath"): "ignored: the driver makes a key for each job; remove it"}


class Keys:
    """What the keys of a document mean.

    Attributes:
        content: The document in the model's spelling. An empty string counts as absent, as in Go.
        warnings: What is ignored, one line each.
        mistakes: What is given twice or is no table, one line each.
    """

    def __init__(self, path: str, document: dict[str, Any]) -> None:
        self.content: dict[str, Any] = {
            section: [] if section in LISTS else {} for section in SECTIONS if section
        }
        self.warnings: list[str] = []
        self.mistakes: list[str] = []
        self._path = path
        self._spelled: dict[tuple[str, int | None, str], str] = {}
        self._take("", document, self.content)

    def where(self, section: str, name: str, number: int | None = None) -> str:
        """`FILE: [Section] Key`, the beginning of a line about it.

        Args:
            section: The section, "" for the top of the file.
            name: The key.
            number: Which of the sections of that name, counted from 0; None where there is one.
        """
        name = self._spelled.get((section, number, name), name)
        if number is not None:
            return f"{self._path}: [[{section}]] number {number + 1}, {name}"
        return f"{self._path}: [{section}] {name}" if section else f"{self._path}: {name}"

    def _take(
        self, section: str, table: dict[str, Any], into: dict[str, Any], number: int | None = None
    ) -> None:
        known = _known(section)
        written: dict[str, str] = {}
        for word, value in table.items():
            name = known.get(word.lower())
            # [Allow] has a key Images, and no section of that name.
            is_section = not section and name in SECTIONS
            if name is None:
                self._unknown(section, word, number)
            elif name in written:
                where = (
                    f"{self._path}: {_head(name)}"
                    if is_section
                    else self.where(section, name, number)
                )
                both = f"{written[name]} and {word}"
                self.mistakes.append(f"{where}: is given twice, as {both}; allowed: one of them")
            else:
                written[name] = word
                if is_section:
                    self._enter(name, value)
                    continue
                also = keys_of(section)[name].also
                if also and word.lower() == also.lower():
                    self._spelled[section, number, name] = also
                if value != "":
                    into[name] = value

    def _enter(self, name: str, value: Any) -> None:
        """Take in a section."""
        content = self.content[name]
        if name not in LISTS and isinstance(value, dict):
            self._take(name, value, content)
        elif name in LISTS and isinstance(value, list) and all(isinstance(v, dict) for v in value):
            for number, table in enumerate(value):
                content.append({})
                self._take(name, table, content[number], number)
        else:
            allowed = f"{_head(name)} for each" if name in LISTS else "a table"
            wrong = values.kind(value)
            self.mistakes.append(f"{self._path}: {_head(name)}: is {wrong}; allowed: {allowed}")

    def _unknown(self, section: str, word: str, number: int | None) -> None:
        hint = _LEGACY.get((section, word.lower())) or f"unknown, ignored{_hint(section, word)}"
        shown = word if word.isprintable() and len(word) <= 60 else values.shown(word)
        self.warnings.append(f"{self.where(section, shown, number)}: {hint}")


def _head(section: str) -> str:
    """How a section is headed in a file."""
    return f"[[{section}]]" if section in LISTS else f"[{section}]"


def _known(section: str) -> dict[str, str]:
    """Lower case to the model's spelling, second names included."""
    known = {}
    for key in keys_of(section).values():
        known[key.name.lower()] = key.name
        if key.also:
            known[key.also.lower()] = key.name
    return known


def _hint(section: str, word: str) -> str:
    lower = word.lower()
    for other in SECTIONS:
        if other != section and lower in _known(other):
            place = _head(other) if other else "the top of the file, above all sections"
            return f": it belongs to {place}"
    close = get_close_matches(lower[:60], _known(section), n=1)
    return f": did you mean {_known(section)[close[0]]}?" if close else ""
