"""`fargate logs`: what a job's container wrote to CloudWatch Logs."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import click

from fargate_driver import settings
from fargate_driver.commands import job_list
from fargate_driver.commands.completion import all_jobs
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.container_log import NoLogError, stream
from fargate_driver.ecs.errors import EcsError
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from fargate_driver.commands.job_list import Jobs
    from fargate_driver.ecs.container_log import Stream
    from fargate_driver.flags import Flags
    from fargate_driver.history import Entry

_TAIL = 1000
"""Lines that are shown of what is there already."""
_INTERVAL = 2.0
"""Seconds between looks. GetLogEvents is limited to 25 calls a second for an account and Region
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html)."""
_LAST_LOOKS = 5
"""Looks after a job's end: lines are on their way for a few seconds."""
_PATIENCE = 30.0
"""Seconds in which calls of AWS that are throttled or not served are tried again."""
_HARMFUL = re.compile(r"(\x1b\[[0-9;]{0,40}m|\t)|[\x00-\x1f\x7f-\x9f]")


@click.command(
    "logs",
    epilog="\b\nExamples:\n  fargate --config /etc/gitlab-runner/fargate.toml logs 1001\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml logs 1001 --follow\n",
)
@click.argument("job", required=False, shell_complete=all_jobs)
@click.option("--follow", is_flag=True, help="Go on until the job is over, or Ctrl-C.")
@click.pass_obj
def logs(flags: Flags, job: str | None, follow: bool) -> int:
    """Show the last lines that the container of JOB wrote to CloudWatch Logs.

    JOB is the number of a job that runs or ran on this host, or the beginning of its task's id;
    where one job runs alone, it need not be named. The task definition must say `awslogs` for that
    container. It is the log of the container itself, not of the job's script, which is GitLab's.
    Needs the rights ecs:DescribeTaskDefinition and logs:GetLogEvents.
    """
    directory = str(settings.load(flags).settings.task_metadata.directory)
    entry = _entry(job_list.own_jobs(directory), job)
    ecs = Ecs(entry.target, deadline=time.monotonic() + _PATIENCE)
    place = _stream(ecs, entry)
    try:
        _show(entry, place, directory, follow=follow)
    except KeyboardInterrupt:
        return 0
    return 0


def _entry(found: Jobs, wanted: str | None) -> Entry:
    entry = job_list.choose(found.running, None).entry if wanted is None else _named(found, wanted)
    if not entry.task_arn:
        raise DriverError(f"job {entry.job} has no task")
    return entry


def _named(found: Jobs, wanted: str) -> Entry:
    running = job_list.choose_entries([one.entry for one in found.running], wanted)
    # Of several tries of a job the last one counts.
    matching = running or job_list.choose_entries(found.ended, wanted)[-1:]
    if not matching:
        hint = job_list.meant([*(one.entry for one in found.running), *found.ended], wanted)
        raise DriverError(f"no job {wanted!r} on this host or in its history{hint}")
    if len(matching) > 1:
        names = job_list.named(matching)
        raise DriverError(f"more than one running job is meant by {wanted!r}: {names}")
    return matching[0]


def _stream(ecs: Ecs, entry: Entry) -> Stream:
    if not entry.definition:
        raise DriverError(f"the record of job {entry.job} does not name its task definition")
    definition, _ = ecs.describe_task_definition(entry.definition)
    try:
        return stream(definition, entry.container, entry.task_arn, entry.target.region)
    except NoLogError as error:
        where = f"task definition {entry.definition}, container {entry.container}"
        raise DriverError(f"{where}: {error}") from error


def _show(entry: Entry, place: Stream, directory: str, *, follow: bool) -> None:
    token = None
    looks = _LAST_LOOKS if follow else 0
    while True:
        ecs = Ecs(entry.target, deadline=time.monotonic() + _PATIENCE)
        try:
            events, token = ecs.log_events(
                place.group, place.name, region=place.region, limit=_TAIL, token=token
            )
        except EcsError as e:
            if e.code != "ResourceNotFoundException":
                raise
            if not follow:
                text = f"nothing is logged yet: there is no {place.name} in {place.group}"
                raise DriverError(text) from e
            events = []
        for event in events:
            _print(event["message"])
        if not looks:
            return
        running = job_list.own_jobs(directory).running
        if not any(one.entry.task_arn == entry.task_arn for one in running):
            looks -= 1
        if len(events) < _TAIL:
            time.sleep(_INTERVAL)


def _print(message: str) -> None:
    click.echo(harmless(message) if sys.stdout.isatty() else message)


def harmless(message: str) -> str:
    """A line for a terminal: its colours pass, what else would steer the terminal does not."""
    return _HARMFUL.sub(r"\1", message)
