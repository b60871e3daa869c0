"""What the programs behind scripts/docs have in common: to write a page, or to compare it."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main(target: Path, text: str, arguments: list[str]) -> int:
    """Write the file, or with --check only compare it."""
    if arguments == ["--check"]:
        if target.is_file() and target.read_text("utf-8") == text:
            return 0
        sys.stderr.write(f"docs/{target.name} is out of date: run scripts/docs\n")
        return 1
    if arguments:
        sys.stderr.write("usage: scripts/docs [--check]\n")
        return 2
    target.write_text(text, "utf-8")
    return 0


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
