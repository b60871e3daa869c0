"""`fargate jobs`: what runs on this host, and what ended last."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live

from fargate_driver import settings
from fargate_driver.commands import job_costs, job_list, job_table, printing
from fargate_driver.console import say

if TYPE_CHECKING:
    from fargate_driver.commands.job_list import Jobs
    from fargate_driver.flags import Flags
    from fargate_driver.history import Entry

_INTERVAL = 1.0
"""Seconds between two looks."""
_CANNOT = ("", "dumb", "unknown")
"""Values of TERM for terminals, or none, on which nothing can be drawn anew."""
_LINES = 25
"""How many are printed; all running jobs are, in any case."""


@click.command(
    "jobs",
    epilog="\b\nExamples:\n  fargate --config /etc/gitlab-runner/fargate.toml jobs --watch\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml jobs --json\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml jobs --cost\n",
)
@click.option("--watch", is_flag=True, help="Draw anew every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects, ended jobs too.")
@click.option("--cost", is_flag=True, help="Sum up what jobs cost, by project.")
@click.pass_obj
def jobs(flags: Flags, watch: bool, as_json: bool, cost: bool) -> None:
    """Show the jobs of this host: those that run, and those that ended last.

    It reads the driver's records and calls nobody. Each user sees the jobs of their own runners.
    """
    directory = str(settings.load(flags).settings.task_metadata.directory)
    if cost and (watch or as_json):
        raise click.UsageError("--cost prints sums; leave out --watch and --json")
    if watch:
        _check_terminal(as_json=as_json)
        _watch(directory)
        return
    found = job_list.own_jobs(directory)
    for line in found.unreadable:
        say(line)
    console = printing.console()
    if cost:
        everyone = [*(one.entry for one in found.running), *found.ended]
        console.print(job_costs.table(job_costs.by_project(everyone), console.width))
    elif as_json:
        click.echo(json.dumps(_plain(found), indent=2))
    else:
        lines = max(_LINES, len(found.running) + _LINES // 2)
        console.print(job_table.tables(found, console.width, lines))


def _check_terminal(*, as_json: bool) -> None:
    if as_json or not sys.stdout.isatty():
        raise click.UsageError("--watch draws on a terminal; leave it out, or --json")
    kind = os.environ.get("TERM", "")
    if kind in _CANNOT:
        raise click.UsageError(f"--watch moves the cursor, and TERM={kind} says that it can't be")


def _watch(directory: str) -> None:
    """Draw the jobs every second, until Ctrl-C."""
    # Where they are exported they say what the terminal's size was once.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    # As Ctrl-C, so that the terminal is given back as it was.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                found = job_list.own_jobs(directory)
                live.update(job_table.tables(found, console.width, console.height), refresh=True)
                time.sleep(_INTERVAL)
    except KeyboardInterrupt:
        return


def _plain(found: Jobs) -> list[dict[str, Any]]:
    running = [_fields(one.entry) | {"stage": one.stage} for one in found.running]
    return running + [_fields(one) | {"ended": one.began + one.seconds} for one in found.ended]


def _fields(entry: Entry) -> dict[str, Any]:
    fields = entry._asdict()
    del fields["target"]
    return fields
