"""`fargate images`: the task definitions that image mode has derived."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fargate_driver import jobs, records, settings
from fargate_driver.ecs import launch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.definitions import Definitions
from fargate_driver.ecs.derive import HELPER_CONTAINER, INJECTOR_CONTAINER
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from typing import Any

    from fargate_driver.flags import Flags

_PATIENCE = 60.0
"""Seconds in which a family's calls of AWS that are throttled or not served are tried again."""
_DAY = 86400.0


@click.command(
    "images",
    epilog="\b\nExamples:\n  fargate --config /etc/gitlab-runner/fargate.toml images\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml images --prune 30 --dry-run\n",
)
@click.option(
    "--prune",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Deregister those that no job of this host has used for so many days, and whose last"
    " registration is as old; never what runs, or was found within StartTimeout.",
)
@click.option("--dry-run", is_flag=True, help="Say what --prune would do, and do nothing.")
@click.pass_obj
def images(flags: Flags, prune: float | None, dry_run: bool) -> int:
    """List the task definitions derived for jobs with `image:`, and when this host last used them.

    Other hosts use the same ones: prune on one host only with a number of days that suits all. A
    job that needs a pruned one registers it again. Needs the rights
    ecs:ListTaskDefinitionFamilies, ecs:DescribeTaskDefinition and, to prune,
    ecs:DeregisterTaskDefinition and ecs:ListTasks. Exit code: 0, or 2 where something failed.
    """
    if dry_run and prune is None:
        raise click.UsageError("--dry-run says what --prune DAYS would do: give that as well")
    config = settings.load(flags).settings
    ecs = Ecs(launch.target(config), deadline=time.monotonic() + _PATIENCE)
    directory = config.task_metadata.directory
    last = {use.family: use.last for use in Definitions(ecs, directory, ecs.deadline).uses()}
    # Who found one within StartTimeout may be about to start a task of it.
    oldest = None if prune is None else max(prune * _DAY, config.fargate.start_timeout)
    needed = set() if prune is None else _recorded(str(directory))
    failed = False
    derived = re.compile(re.escape(config.images.family) + "-[0-9a-f]{20}")
    for family in filter(derived.fullmatch, ecs.list_families(f"{config.images.family}-")):
        # Hundreds of families take longer than one of them may.
        ecs.deadline = time.monotonic() + _PATIENCE
        try:
            content, _ = ecs.describe_task_definition(family)
            names = {one.get("name") for one in content.get("containerDefinitions", [])}
            if not names >= {INJECTOR_CONTAINER, HELPER_CONTAINER}:
                continue  # somebody else's, by a name that looks like ours
            used = last.get(family)
            name = f"{family}:{content['revision']}"
            line = f"{name}  {_ago(used)}  {_contents(content, config)}"
            if oldest is None:
                click.echo(line)
            elif _age(used, content) > oldest and family not in needed:
                if ecs.list_tasks(family=family):
                    click.echo(f"kept, since tasks of it run: {line}")
                    continue
                if not dry_run:
                    ecs.deregister_task_definition(name)
                    Definitions(ecs, directory, ecs.deadline).forget(name)
                click.echo(f"{'would have deregistered' if dry_run else 'deregistered'} {line}")
        except DriverError as error:
            failed = True
            click.echo(f"{family}: {error}", err=True)
    return 2 if failed else 0


def _recorded(directory: str) -> set[str]:
    """The families that this host's jobs run in, or are about to.

    Raises:
        RecordError: A record can't be read, so that it is not known which it needs.
    """
    found = set()
    for place in jobs.all_directories(directory):
        record = records.load(place)
        for one in record.launches if record else ():
            found.add(str(one.request.get("taskDefinition")).partition(":")[0])
    return found


def _age(used: float | None, content: dict[str, Any]) -> float:
    """Seconds since the last use that is known; a registration is a use, by whichever host."""
    registered: float = content["registeredAt"]
    return time.time() - max(used or 0.0, registered)


def _ago(used: float | None) -> str:
    if used is None:
        return "not used on this host"
    moment = datetime.fromtimestamp(used, UTC).strftime("%Y-%m-%d %H:%M")
    return f"last used on this host {moment} UTC"


def _contents(content: dict[str, Any], config: settings.Settings) -> str:
    """The images of the job and its services."""
    containers = {one["name"]: one["image"] for one in content["containerDefinitions"]}
    job = containers.pop(config.fargate.container_name, "")
    others = [
        image
        for name, image in containers.items()
        if name not in (INJECTOR_CONTAINER, HELPER_CONTAINER)
    ]
    return f"{job} with {', '.join(others)}" if others else job
