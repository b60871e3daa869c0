"""`fargate reap`: the second net for tasks whose job is over."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from fargate_driver import host, jobs, masking, records, settings
from fargate_driver.ecs import launch, pace
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.errors import DriverError, explained
from fargate_driver.metrics import record as metrics
from fargate_driver.stages import sweep

if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.settings import Settings

_PATIENCE = 60.0
"""Seconds in which calls of AWS that are throttled or not served are tried again, for all jobs
together."""
_LEAST = 5.0
"""Seconds of it that each job has, however long those before it took."""
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
    found = sweep.find(str(config.task_metadata.directory))
    failed = bool(found.unclear)
    for problem in found.unclear.values():
        _complain(f"passed over: {problem}")
    deadline = time.monotonic() + _PATIENCE
    for dead in found.dead:
        patience = max(deadline - time.monotonic(), _LEAST)
        tasks = ", ".join(dead.task_arns) or "no known task"
        try:
            if not dry_run and not sweep.end(dead.directory, patience=patience):
                click.echo(f"left alone {dead.description}: another process is at it")
                continue
            click.echo(f"{_verb('ended', dry_run)} {dead.description}: {dead.why} ({tasks})")
        except Exception as e:  # noqa: BLE001 - one job's fault is not the others'
            failed = True
            told = explained(e, debug=flags.debug)
            _complain(f"could not end {dead.description}: {told}")
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
            _complain(f"tasks without a record could not be looked for: {e}")
    if text_file := config.metrics.text_file:
        directory = str(config.task_metadata.directory)
        if problem := metrics.reap(text_file, directory, orphans=len(stopped)):
            _complain(problem)
    return 2 if failed else 0


def _stop_tasks_without_record(config: Settings, stopped: list[str], *, dry_run: bool) -> bool:
    """Stop this manager's tasks that no record speaks of, and list them; whether all of them were.

    Records are written before RunTask and removed after StopTask, and they are read after ListTasks
    here: a task that is listed and has no record belongs to no running job.
    """
    if not (config.task_metadata.manager or host.known()):
        click.echo(
            "tasks without a record are not looked for: a container with this one's host name would"
            " go by the same startedBy; set [TaskMetadata] Manager"
        )
        return True
    ecs = Ecs(launch.target(config), deadline=time.monotonic() + _PATIENCE)
    listed = ecs.list_tasks(startedBy=launch.started_by(config.task_metadata))
    directory = config.task_metadata.directory
    if listed and not directory.is_dir():
        _complain(f"{directory} is missing: no task is stopped for want of a record")
        return False
    known, before = _known(str(directory))
    done = True
    for arn in listed:
        try:
            task = None if arn in known else ecs.describe_task(arn)
            # A cleanup may have stopped it, and removed its record, since it was listed.
            over = not task or task.get("desiredStatus") == "STOPPED"
            if not task or over or task.get("createdAt", before) >= before:
                continue
            if not dry_run:
                ecs.stop_task(arn, "reaped: this manager has no record of its job")
                stopped.append(arn)
            click.echo(f"{_verb('stopped', dry_run)} {arn}: this manager has no record of its job")
        except EcsError as e:
            done = False
            _complain(f"could not stop {arn}, of which there is no record: {e}")
    return done


def _known(directory: str) -> tuple[set[str | None], float]:
    """The tasks that records speak of, and the moment from which on there may be others.

    That is in seconds since the epoch.
    """
    known: set[str | None] = set()
    before = time.time() - _YOUNG
    for place in jobs.all_directories(directory):
        try:
            jobs.check_own(place)
            record = records.load(place)
        except FileNotFoundError:
            continue  # over, meanwhile
        except (DriverError, OSError):
            # What it speaks of is not known, but nothing of it is older than its directory.
            before = min(before, _oldest(place) - _CLOCKS)
            continue
        for one in record.launches if record else []:
            known.add(one.task_arn)
            if not one.task_arn and not one.refused and one.replayable:
                # A task of this launch may be listed without being known yet. One that is too old
                # to be replayed is known by nobody any more: its task is an orphan.
                before = min(before, one.created.epoch - _CLOCKS)
    return known, before


def _complain(text: str) -> None:
    # AWS's words may quote what the request was signed with.
    click.echo(masking.whole(text), err=True)


def _oldest(place: str) -> float:
    """When the oldest file of a job was last written, in seconds since the epoch."""
    try:
        with os.scandir(place) as entries:
            return min((entry.stat(follow_symlinks=False).st_mtime for entry in entries), default=0)
    except OSError:
        return 0.0


def _verb(done: str, dry_run: bool) -> str:
    return f"would have {done}" if dry_run else done
