"""`fargate doctor`: is all that a job needs there?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fargate_driver.commands import printing
from fargate_driver.doctor import render
from fargate_driver.doctor.finding import Status
from fargate_driver.doctor.plan import Group, play

if TYPE_CHECKING:
    from fargate_driver.flags import Flags


@click.command(
    "doctor",
    epilog="\b\nExamples:\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml doctor\n"
    "  fargate doctor --run\n"
    "  fargate doctor --json | jq '.checks[] | select(.status == \"wrong\")'\n",
)
@click.option(
    "--runner-config",
    "runner_config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="gitlab-runner's config.toml.  [default: /etc/gitlab-runner/config.toml]",
)
@click.option("--run", is_flag=True, help="Start a real task too, run a line in it, stop it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_obj
def doctor(flags: Flags, *, runner_config: Path | None, run: bool, as_json: bool) -> int:
    """Check all that a job depends on, and say how to mend what is wrong.

    What can't be checked with the rights that are there is said to be so. Changes nothing, and
    needs no right that jobs don't need. Call it as the user that gitlab-runner runs as. Exit code:
    0, or 1 where something is wrong.
    """
    console = printing.console()
    groups: list[Group] = []
    for group in play(flags, runner_config, run=run):
        groups.append(group)
        if not as_json:
            render.show(group, console)
    findings = [finding for group in groups for finding in group.findings]
    click.echo(render.as_json(groups) if as_json else render.summary(findings))
    return int(any(finding.status is Status.WRONG for finding in findings))
