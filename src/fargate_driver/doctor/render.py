"""Showing what was found: to people, and to programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fargate_driver.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from fargate_driver.doctor.plan import Group

_MARKS = {
    Status.OK: ("✓", "green"),
    Status.WRONG: ("✗", "bold red"),
    Status.UNCHECKED: ("\u2013", "yellow"),
}
_PLAIN = {"✓": "+", "✗": "X", "\u2013": "-"}
"""For terminals that can't show them."""
_WIDEST_NAME = 29
_BESIDE = 64
"""Columns of a terminal from which on there is room for what was found beside the check's name."""


def show(group: Group, console: Console) -> None:
    """Print a group.

    Args:
        group: What was found.
        console: Where to.
    """
    beside = console.width >= _BESIDE
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    if beside:
        table.add_column(width=_WIDEST_NAME, overflow="fold")
    table.add_column(overflow="fold")
    for finding in group.findings:
        mark, style = _MARKS[finding.status]
        if not console.encoding.startswith("utf"):
            mark = _PLAIN[mark]
        words = _words(finding, console.encoding)
        name = [finding.check] if beside else []
        if not beside:
            words = Text(f"{finding.check}\n").append_text(words)
        table.add_row(Text(mark, style), *name, words)
    console.print(Text(group.title, "bold"))
    console.print(Padding(table, (0, 0, 0, 2)))


def _words(finding: Finding, encoding: str) -> Text:
    text = Text(_printable(finding.found, encoding))
    if finding.mend:
        text.append("\nmend: ", "bold")
        text.append(_printable(finding.mend, encoding))
    return text


def _printable(text: str, encoding: str) -> str:
    """Names of files and answers of servers don't get to move the cursor, or to break off."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable.encode(encoding, "replace").decode(encoding)


def summary(findings: Iterable[Finding]) -> str:
    """One line about all of them.

    Args:
        findings: All that was found.
    """
    statuses = [finding.status for finding in findings]
    return (
        f"{statuses.count(Status.OK)} right, {statuses.count(Status.WRONG)} wrong, "
        f"{statuses.count(Status.UNCHECKED)} that can't be checked"
    )


def as_json(groups: Iterable[Group]) -> str:
    """All that was found, as one JSON object.

    Args:
        groups: What was found.
    """
    checks: list[dict[str, Any]] = [
        {
            "group": group.title,
            "check": finding.check,
            "status": finding.status.value,
            "found": finding.found,
            "mend": finding.mend or None,
        }
        for group in groups
        for finding in group.findings
    ]
    wrong = any(check["status"] == Status.WRONG for check in checks)
    return json.dumps({"ok": not wrong, "checks": checks})
