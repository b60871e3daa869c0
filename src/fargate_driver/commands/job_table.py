"""Drawing jobs on a terminal of any width."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from fargate_driver.commands.job_list import Jobs, Running, task_id
from fargate_driver.costs import bill
from fargate_driver.ecs.words import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from fargate_driver.history import Entry

_STYLES = {
    "running": "green",
    "starting": "yellow",
    "ending": "yellow",
    "success": "green",
    "failed": "red",
    "left behind": "bold red",
    "not started": "red",
    "reaped": "red",
}
_LONGEST = 200
"""Characters of a value that are looked at; the table cuts them to its width."""


class Row(NamedTuple):
    """What a column shows a part of."""

    entry: Entry
    state: str


class Column(NamedTuple):
    """A column of the tables.

    Attributes:
        title: Its head.
        value: What it shows.
        width: The terminal's width from which it is shown.
        share: Whether it takes what room there is, and is cut where there is none.
        right: Whether it is a number.
    """

    title: str
    value: Callable[[Row], str]
    width: int = 0
    share: bool = False
    right: bool = False


COLUMNS = (
    Column("JOB", lambda row: row.entry.job),
    Column("NAME", lambda row: row.entry.name, width=100, share=True),
    Column("PROJECT", lambda row: row.entry.project, width=60, share=True),
    Column("STATE", lambda row: row.state),
    Column("TIME", lambda row: duration(row.entry.seconds), width=40, right=True),
    Column("VCPU/GB", lambda row: size(row.entry), width=70, right=True),
    Column("COST", lambda row: cost(row.entry), width=60, right=True),
    Column("CAPACITY", lambda row: row.entry.capacity, width=120),
    Column("TASK", lambda row: task_id(row.entry)[:8], width=100),
    Column("IMAGE", lambda row: row.entry.image or row.entry.definition, width=120, share=True),
)
"""What 80 columns hold with the longest of usual values: numbers of eleven digits, the state
`running build_script`."""
ENDED = Column("ENDED", lambda row: _ago(row.entry), width=70)


def tables(found: Jobs, width: int, rows: int) -> RenderableType:
    """The running jobs, and those that ended last.

    Args:
        found: All jobs.
        width: The terminal's, in columns.
        rows: How many lines there may be, heads included.
    """
    running = [Row(one.entry, phase(one)) for one in found.running]
    room = max(rows - 4, 1)
    shown = running[:room]
    count = f"{len(running)} running"
    if found.unreadable:
        count += f", {len(found.unreadable)} unreadable"
    parts: list[RenderableType] = [_heading(count, len(running) - len(shown))]
    if shown:
        parts.append(_table(COLUMNS, shown, width))
    room -= len(shown) + 1
    ended = [Row(one, one.state) for one in reversed(found.ended[-room:])] if room > 0 else []
    if ended:
        parts += [_heading("ended last", 0), _table((*COLUMNS, ENDED), ended, width)]
    return Group(*parts)


def phase(job: Running) -> str:
    """A running job's state, with what it is at."""
    return f"{job.entry.state} {job.stage}".rstrip()


def duration(seconds: float) -> str:
    """A time in two units at most, such as `2h05m`."""
    whole = int(max(seconds, 0))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(entry: Entry) -> str:
    """A task's vCPU and memory in GB, such as `0.5/2`; "" while they are unknown."""
    try:
        return f"{int(entry.cpu) / 1024:g}/{int(entry.memory) / 1024:g}"
    except ValueError:
        return ""


def cost(entry: Entry) -> str:
    """What a task costs so far, such as `$0.0021`; "" while that is unknown."""
    return f"${bill.shown(float(entry.cost))}" if entry.cost else ""


def _ago(entry: Entry) -> str:
    return f"{duration(time.time() - entry.began - entry.seconds)} ago"


def _heading(text: str, hidden: int) -> Text:
    more = f" ({hidden} more than fit here)" if hidden else ""
    return Text(f"{text}{more}", style="bold")


def _table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    chosen = [column for column in columns if column.width <= width]
    for column in chosen:
        table.add_column(
            column.title,
            ratio=1 if column.share else None,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        style = _STYLES.get(row.entry.state, "")
        cells = [(column, one_line(column.value(row), _LONGEST) or "-") for column in chosen]
        # Text, since names may hold what rich would take for markup.
        table.add_row(*(Text(t, style=style if c.title == "STATE" else "") for c, t in cells))
    return table
