"""`fargate reap`: the second net for tasks whose job is over."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import click

from fargate_driver import jobs, records, settings
from fargate_driver.ecs import launch, pace
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.errors import DriverError
from fargate_driver.metrics import record as metrics
from fargate_driver.stages import sweep

if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.settings import Settings

_PATIENCE = 60.0
"""Seconds in which calls of AWS that are throttled or not served are tried again."""
_YOUNG = 300.0
"""Seconds for which a task without a record may be one whose record was just removed."""
_CLOCKS = 60.0
"""Seconds by which this host's clock may differ from AWS's."""


@click.command(
    "reap",
    epilog="\b\nExamples:\n  fargate --config /etc/gitlab-runner/fargate.toml reap --dry-run\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml reap\n",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.pass_obj
def reap(flags: Flags, dry_run: bool) -> int:
    """Stop tasks of this manager whose job is over, and remove what the jobs left.

    Safe at any time, from cron or a systemd timer, beside running jobs and other managers. Exit
    code: 0, or 2 where something could not be ended.
    """
    config = settings.load(flags).settings
    failed = False
    for dead in sweep.find(str(config.task_metadata.directory)):
        tasks = ", ".join(dead.task_arns) or "no known task"
        try:
            if not dry_run and not sweep.end(dead):
                click.echo(f"left alone {dead.description}: another process is at it")
                continue
            click.echo(f"{_verb('ended', dry_run)} {dead.description}: {dead.why} ({tasks})")
        except DriverError as e:
            failed = True
            click.echo(f"could not end {dead.description}: {e}", err=True)
    if not dry_run:
        pace.forget(config.task_metadata.directory)
    stopped: list[str] = []
    try:
        failed = not _stop_tasks_without_record(config, stopped, dry_run=dry_run) or failed
    except EcsError as e:
        if e.code == "AccessDeniedException" and e.operation == "ListTasks":
            click.echo("tasks without a record are not looked for: ecs:ListTasks is not allowed")
        else:
            failed = True
            click.echo(f"tasks without a record could not be looked for: {e}", err=True)
    if text_file := config.metrics.text_file:
        directory = str(config.task_metadata.directory)
        if problem := metrics.reap(text_file, directory, orphans=len(stopped)):
            click.echo(problem, err=True)
    return 2 if failed else 0


def _stop_tasks_without_record(config: Settings, stopped: list[str], *, dry_run: bool) -> bool:
    """Stop this manager's tasks that no record speaks of; False where a record can't be read.

    Records are written before RunTask and removed after StopTask, and they are read after ListTasks
    here: a task that is listed and has no record belongs to no running job.
    """
    directory = str(config.task_metadata.directory)
    ecs = Ecs(launch.target(config), deadline=time.monotonic() + _PATIENCE)
    listed = ecs.list_tasks(startedBy=launch.started_by(config.task_metadata))
    known: set[str | None] = set()
    before = time.time() - _YOUNG
    readable = True
    for place in jobs.all_directories(directory):
        try:
            record = records.load(place)
        except DriverError as e:
            # What it speaks of is not known, but nothing of it is older than its directory.
            readable = False
            click.echo(f"{e}; tasks from its time on are left alone", err=True)
            with contextlib.suppress(OSError):
                before = min(before, _oldest(place))
            continue
        for one in record.launches if record else []:
            known.add(one.task_arn)
            if not one.task_arn and not one.refused and one.replayable:
                # A task of this launch may be listed without being known yet. One that is too old
                # to be replayed is known by nobody any more: its task is an orphan.
                before = min(before, one.created.epoch - _CLOCKS)
    for arn in listed:
        task = None if arn in known else ecs.describe_task(arn)
        if task and task["createdAt"] < before:
            if not dry_run:
                ecs.stop_task(arn, "reaped: this manager has no record of its job")
                stopped.append(arn)
            click.echo(f"{_verb('stopped', dry_run)} {arn}: this manager has no record of its job")
    return readable


def _oldest(place: str) -> float:
    """When the oldest file of a job was last written, in seconds since the epoch."""
    with os.scandir(place) as entries:
        return min((entry.stat(follow_symlinks=False).st_mtime for entry in entries), default=0.0)


def _verb(done: str, dry_run: bool) -> str:
    return f"would have {done}" if dry_run else done
