"""`fargate shell`: a terminal in a running job's container."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fargate_driver import jobs, records, settings
from fargate_driver.commands import job_list
from fargate_driver.commands.completion import running_jobs
from fargate_driver.console import say
from fargate_driver.errors import DriverError
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.mux import listens
from fargate_driver.ssh.terminal import LOST, open_terminal

if TYPE_CHECKING:
    from fargate_driver.commands.job_list import Running
    from fargate_driver.flags import Flags

_PATIENCE = 2.0
"""Seconds to see whether the job has ended."""
_WORDS = f"{__name__}.words"
_SHELLS = {"busybox": ("busybox", "sh")}


class _Command(click.Command):
    """What comes after `--` is no argument of this command, not even where JOB is left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_WORDS] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(
    "shell",
    cls=_Command,
    epilog="\b\nExamples:\n  fargate --config /etc/gitlab-runner/fargate.toml shell 1001\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml shell 1001 -- ps -eo pid,etime,comm\n",
)
@click.argument(
    "job",
    required=False,
    metavar="[JOB] [-- COMMAND...]",
    shell_complete=running_jobs,
)
@click.pass_context
def shell(context: click.Context, job: str | None) -> int:
    """Open a terminal in the container of a running JOB, or run COMMAND there.

    JOB is the job's number or the beginning of its task's id; where one job runs alone, it need not
    be named. It begins in the job's folder, with the environment of the container, which has none
    of the job's variables. The exit code is the shell's or the command's.
    """
    flags: Flags = context.obj
    command: tuple[str, ...] = context.meta.get(_WORDS, ())
    directory = str(settings.load(flags).settings.task_metadata.directory)
    found = job_list.choose(job_list.own_jobs(directory).running, job)
    access = jobs.load_access(found.directory)
    record = records.load(found.directory)
    if not access or not record:
        raise DriverError(f"job {found.entry.job} is still starting: it has no connection yet")
    connection = Connection(
        found.directory, access.host, access.port, access.user, access.wrapper_shell
    )
    code = open_terminal(
        connection,
        command or _SHELLS.get(access.shell, (access.shell,)),
        folder=record.about.get("folder", ""),
        init_pid=access.init_pid,
        state_directory=access.state_directory,
        # As with ssh, a shell's terminal is where its input comes from. A command's output that
        # goes elsewhere must stay as it is, and whoever takes no more of it must end the command.
        interactive=os.isatty(0) and (not command or os.isatty(1)),
    )
    if code == LOST and not listens(found.directory):
        say(_why(found))
    return code


def _why(job: Running) -> str:
    """Why the connection ended; cleanup ends it right before it removes the job's directory."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if not Path(job.directory).is_dir():
            return f"job {job.entry.job} has ended"
        time.sleep(0.05)
    return f"the connection to job {job.entry.job} was lost"
