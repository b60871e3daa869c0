"""The messages that docs/troubleshooting.md explains are messages of the driver."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pages import ROOT, prose

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "troubleshooting.md"
_ROW = re.compile(r"\| (`[^|]*`) \| ")
_VERDICT = re.compile(r"`[a-z-]+`\*?$")
"""Rows of the table that scripts/docs makes from the source."""
# Calls and errors of AWS, which the driver only passes on, and what pages write for the user's own.
_FOREIGN = re.compile(r"\b[A-Z][a-z]+[A-Z]\w+|\bFILE\b|\[Section\] Key")


def _texts() -> Iterator[str]:
    """All texts of the source, with … for what is filled in."""
    for file in sorted((ROOT / "src" / "fargate_driver").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", "…") for part in node.values]
                yield "".join(part if isinstance(part, str) else "…" for part in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"\$\w+", "…", node.value)


def _said(words: str, source: str) -> bool:
    """Whether the source has these words, in one text or in two that meet between two words."""
    one = words.split()
    halves = ((" ".join(one[:at]), " ".join(one[at:])) for at in range(2, len(one) - 1))
    return words in source or any(a in source and b in source for a, b in halves)


def test_explained_messages_exist() -> None:
    source = _FOREIGN.sub("…", "\n".join(_texts()))
    explained, wrong = 0, []
    for number, line in prose(PAGE):
        row = _ROW.match(line)
        if not row or _VERDICT.match(row[1]):
            continue
        for message in re.findall(r"`([^`]+)`", row[1]):
            explained += 1
            for part in re.split(r"…|: ", _FOREIGN.sub("…", message)):
                words = part.strip(" :;,()")
                if not _said(words, source):
                    wrong.append(f"line {number}: {message}: {words}")
    assert explained > 20
    assert wrong == []
