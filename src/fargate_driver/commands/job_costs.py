"""What the jobs of this host cost, by project."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table
from rich.text import Text

from fargate_driver.commands.job_table import duration
from fargate_driver.costs.bill import shown
from fargate_driver.ecs.words import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fargate_driver.history import Entry

_WIDE = 60
"""Columns of a terminal from which on there is room for how long the jobs took."""
_LONGEST = 200
"""Characters of a project's name that are shown."""


class Costs(NamedTuple):
    """What a project's jobs cost."""

    project: str
    jobs: int
    seconds: float
    dollars: float
    unknown: int
    """Jobs whose task has no known price."""


def by_project(entries: Iterable[Entry]) -> list[Costs]:
    """Sum the jobs up.

    Args:
        entries: running and ended ones.

    Returns:
        The dearest project first.
    """
    found: dict[str, Costs] = {}
    for entry in entries:
        if not entry.task_arn:
            continue  # a start that was refused, of which gitlab-runner may make three
        dollars = cost_of(entry)
        old = found.get(entry.project, Costs(entry.project, 0, 0.0, 0.0, 0))
        found[entry.project] = old._replace(
            jobs=old.jobs + 1,
            seconds=old.seconds + entry.seconds,
            dollars=old.dollars + (dollars or 0.0),
            unknown=old.unknown + (dollars is None),
        )
    return sorted(found.values(), key=lambda costs: (-costs.dollars, costs.project))


def cost_of(entry: Entry) -> float | None:
    """US dollars; None where the task's price is unknown.

    Args:
        entry: the job.
    """
    try:
        return float(entry.cost)
    except ValueError:
        return None


def table(costs: Iterable[Costs], width: int) -> Table:
    """Draw the sums.

    Args:
        costs: of each project.
        width: the terminal's, in columns.
    """
    wide = width >= _WIDE
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    drawn.add_column("PROJECT", overflow="fold")
    for title in ("JOBS", *(["TIME"] if wide else []), "COST", "UNKNOWN"):
        drawn.add_column(title, justify="right", no_wrap=True)
    for one in costs:
        project = Text(one_line(one.project, _LONGEST))
        # A sum of nothing that is known is no price.
        known = one.dollars or not one.unknown
        money = f"${shown(one.dollars)}" if known else "-"
        time = [duration(one.seconds)] if wide else []
        drawn.add_row(project, str(one.jobs), *time, money, str(one.unknown or "-"))
    return drawn
