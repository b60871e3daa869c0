"""The documentation as tests see it: pages, their fenced blocks, links and anchors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
RUN = "tests run this"
"""The comment above a block that is run from start to end, in an empty home."""
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
_LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+?)\s*$")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: Its file.
        line: The line of its opening fence.
        language: What stands behind that fence.
        text: What is in it.
        note: The comment above it that is for tests; empty where there is none.
    """

    page: Path
    line: int
    language: str
    text: str
    note: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All of them, in a fixed order."""
    folders = ("docs", "images", "contrib", "benchmarks")
    return [
        *sorted(ROOT.glob("*.md")),
        *(p for f in folders for p in sorted((ROOT / f).rglob("*.md"))),
    ]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page.

    Raises:
        ValueError: One is never closed.
    """
    found: list[Block] = []
    opened: tuple[int, str, str, str] | None = None
    inside: list[str] = []
    above = ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            note = RUN if above == f"<!-- {RUN} -->" else ""
            opened, inside = (number, fence[2], fence[3].strip(), note), []
        elif opened and fence and fence[2].startswith(opened[1]) and not fence[3].strip():
            found.append(Block(page, opened[0], opened[2], "\n".join(inside) + "\n", opened[3]))
            opened = None
        elif opened:
            inside.append(line)
        above = line
    if opened:
        raise ValueError(f"{page}:{opened[0]}: the block is never closed")
    return found


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines outside fenced blocks, with their numbers."""
    lines = page.read_text("utf-8").splitlines()
    for block in blocks(page):
        first = block.line - 1
        for number in range(first, first + block.text.count("\n") + 2):
            lines[number] = ""
    return list(enumerate(lines, 1))


def links(page: Path) -> list[tuple[int, str]]:
    """The targets of a page's links and pictures, with their lines."""
    return [(number, link) for number, line in prose(page) for link in _LINK.findall(line)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitLab makes them.

    Source: https://docs.gitlab.com/user/markdown/#heading-ids-and-links
    """
    found: set[str] = set()
    for _, line in prose(page):
        if heading := _HEADING.match(line):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"-{2,}", "-", re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
            number, unique = 0, slug
            while unique in found:
                number += 1
                unique = f"{slug}-{number}"
            found.add(unique)
    return found
