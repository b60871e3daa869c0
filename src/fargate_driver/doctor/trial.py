"""`doctor --run`: a real task, by the functions that prepare, run and cleanup go by."""

from __future__ import annotations

import json
import os
import secrets
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import jobs
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.errors import DriverError, explained
from fargate_driver.gitlab import job
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.owner import owner_of_this_call
from fargate_driver.ssh import session
from fargate_driver.ssh.connection import Connection
from fargate_driver.stages import asked, lock, prepare
from fargate_driver.stages.cancel import Cancelled, ignore_sigterm, raise_on_sigterm
from fargate_driver.stages.ending import end_job

if TYPE_CHECKING:
    from fargate_driver.settings import Settings

_TIMEOUT = 600
"""Seconds that the job counts as running for, where nobody ends it."""
_LINE = "fargate doctor was here"


def run(config: Settings) -> Finding:
    """Start a task, connect to it, run a line in it, stop it.

    Progress goes to stderr. SIGINT and SIGTERM end it early; nothing is left of the task then, too.

    Args:
        config: The settings.
    """
    if not config.fargate.task_definition and not config.images.default_image:
        return unchecked("run", "neither TaskDefinition nor [Images] DefaultImage: nothing to run")
    took: dict[str, float] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="fargate-doctor-") as folder:
            problem = _start_and_end(config, _environment(Path(folder)), took)
    except OSError as error:
        problem = _told(error)
    if problem:
        return wrong("run", problem, "see docs/troubleshooting.md")
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    return ok("run", f"a task started, ran a line and was stopped: {told}")


def _start_and_end(config: Settings, env: RunnerEnvironment, took: dict[str, float]) -> str:
    """Do it all; what was wrong, "" for nothing. However it goes, the task is stopped."""
    directory = str(config.task_metadata.directory / job.load(env).key)
    cancelled = False
    # A terminal that is closed meanwhile is no reason to leave the task behind.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        raise_on_sigterm()
        try:
            problem = _use(config, env, directory, took)
        except Exception as error:  # noqa: BLE001 - a full disk as well
            problem = _told(error)
        ignore_sigterm()
    except Cancelled:
        problem, cancelled = "cancelled", True
    stopping = time.monotonic()
    try:
        end_job(directory, "fargate doctor is done with it", hurry=cancelled)
    except Exception as error:  # noqa: BLE001 - it is told with what to do
        problem = f"the task may still run: {_told(error)}"
    took["stop"] = time.monotonic() - stopping
    return problem


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return " ".join(str(explained(error, debug=False)).split())


def _environment(folder: Path) -> RunnerEnvironment:
    """What gitlab-runner would hand over for a job that asks for nothing."""
    response = folder / "response.json"
    project = {"project_id": 1, "project_full_path": "fargate doctor"}
    asking = {
        "id": secrets.randbelow(9 * 10**8) + 10**8,
        "job_info": project,
        "git_info": {"repo_url": "https://gitlab.example.com/fargate/doctor.git"},
        "runner_info": {"timeout": _TIMEOUT},
    }
    response.write_text(json.dumps(asking))
    return RunnerEnvironment(
        {
            "BUILD_FAILURE_EXIT_CODE": "1",
            "SYSTEM_FAILURE_EXIT_CODE": "2",
            "JOB_RESPONSE_FILE": str(response),
            "TMPDIR": str(folder),
        }
    )


def _use(config: Settings, env: RunnerEnvironment, directory: str, took: dict[str, float]) -> str:
    """Start the task and run a line; what was wrong with the line, "" for nothing."""
    begun = time.monotonic()
    longest = _TIMEOUT + config.fargate.start_timeout
    owner = owner_of_this_call(env.tmpdir, longest, runner=os.getpid())
    with lock.for_prepare(directory):
        prepare.start(asked.read(config, env), job.load(env), directory, owner)
    started = time.monotonic()
    problem = _run_line(directory, Path(str(env.tmpdir)))
    took |= {"start": started - begun, "line": time.monotonic() - started}
    return problem


def _run_line(directory: str, folder: Path) -> str:
    access = jobs.load_access(directory)
    if access is None:
        raise DriverError(f"{directory}: the record of the connection is gone")
    script = folder / "script"
    script.write_text(f"echo {_LINE}\n")
    waking, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with (folder / "output").open("w+b") as output:
            outcome = session.run_script(
                Connection(directory, access.host, access.port, access.user, access.wrapper_shell),
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
    if outcome.code or said != _LINE:
        return f"the line ended with exit code {outcome.code} and said {said!r}"
    return ""
