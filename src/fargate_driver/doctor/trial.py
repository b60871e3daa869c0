"""`doctor --run`: a real task, by the functions that prepare and cleanup go by."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import jobs
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.errors import DriverError
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.gitlab.job import Job
from fargate_driver.owner import owner_of_this_call
from fargate_driver.ssh import session
from fargate_driver.ssh.connection import Connection
from fargate_driver.stages import asked, lock, prepare
from fargate_driver.stages.cancel import Cancelled, ignore_sigterm, raise_on_sigterm
from fargate_driver.stages.ending import end_job

if TYPE_CHECKING:
    from fargate_driver.settings import Settings

_TIMEOUT = 600
"""Seconds that the task may live for, where nobody stops it."""
_TEXT = "fargate doctor was here"
_ENVIRONMENT = {"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2"}


def run(config: Settings) -> Finding:
    """Start a task, connect to it, run a line in it, stop it. Progress goes to stderr.

    Args:
        config: The settings.
    """
    if not config.fargate.task_definition and not config.images.default_image:
        return unchecked("run", "neither TaskDefinition nor [Images] DefaultImage: nothing to run")
    job = Job(
        id=secrets.randbelow(9 * 10**8) + 10**8,
        project_id=0,
        repository="fargate-doctor",
        pipeline_id=None,
        project_path="fargate doctor",
        timeout=_TIMEOUT,
        image=None,
        services=(),
    )
    directory = str(config.task_metadata.directory / job.key)
    problem, cancelled = "", False
    took: dict[str, float] = {}
    try:
        raise_on_sigterm()
        with lock.for_prepare(directory):
            problem = _use(config, job, directory, took)
    except DriverError as error:
        problem = " ".join(str(error).split())
    except Cancelled:
        problem, cancelled = "cancelled", True
    ignore_sigterm()
    stopping = time.monotonic()
    try:
        end_job(directory, "fargate doctor is done with it", hurry=cancelled)
    except DriverError as error:
        return wrong("run", f"the task may still run: {error}", "`fargate reap` stops it later")
    took["stop"] = time.monotonic() - stopping
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    if problem:
        return wrong("run", problem, "see docs/troubleshooting.md")
    return ok("run", f"a task started, ran a line and was stopped: {told}")


def _use(config: Settings, job: Job, directory: str, took: dict[str, float]) -> str:
    """Start the task and run a line; what was wrong with the line, "" for nothing."""
    begun = time.monotonic()
    wanted = asked.read(config, RunnerEnvironment(_ENVIRONMENT))
    owner = owner_of_this_call(None, _TIMEOUT + config.fargate.start_timeout)
    prepare.start(wanted, job, directory, owner)
    started = time.monotonic()
    found = _line(directory)
    took |= {"start": started - begun, "line": time.monotonic() - started}
    return found


def _line(directory: str) -> str:
    access = jobs.load_access(directory)
    if access is None:
        raise DriverError(f"{directory}: prepare left no connection")
    connection = Connection(directory, access.host, access.port, access.user, access.wrapper_shell)
    waking, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with tempfile.TemporaryDirectory(prefix="fargate-doctor-") as folder:
            script = Path(folder, "script")
            script.write_text(f"echo {_TEXT}\n")
            with open(Path(folder, "output"), "w+b") as output:  # noqa: PTH123 - never a path
                outcome = session.run_script(
                    connection,
                    str(script),
                    shell=access.shell,
                    init_pid=access.init_pid,
                    state_directory=access.state_directory,
                    cancelled=lambda: False,
                    wakeup_fd=waking,
                    stdout=output.fileno(),
                    stderr=output.fileno(),
                )
                output.seek(0)
                said = output.read(1000).decode(errors="replace").strip()
    finally:
        os.close(waking)
        os.close(waker)
    if outcome.code is None:
        return f"the line got no verdict: {outcome.lost}"
    if outcome.code or said != _TEXT:
        return f"the line ended with exit code {outcome.code} and said {said!r}"
    return ""
