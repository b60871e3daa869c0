"""The stage `run`: run one of gitlab-runner's scripts in the job's task.

It is called several times per job, so it imports what every call needs and nothing else; what only
a failure needs is imported there.
"""

from __future__ import annotations

import _signal as signal  # as in cli.py
import os

from fargate_driver import jobs
from fargate_driver.console import say
from fargate_driver.errors import DriverError
from fargate_driver.gitlab import exits
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.errors import MasterGoneError
from fargate_driver.ssh.session import Outcome, end_stage, run_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.jobs import Access

_PATIENCE = 15.0
"""Seconds for a new connection where the master is gone but the task may not be, and then for ECS
to notice why."""
_LITTLE_PATIENCE = 3.0
"""The same where an earlier stage of the job waited in vain."""
_KILLED = 137
"""128 + SIGKILL, as shells report it."""


def main(flags: Flags, script: str, stage: str) -> int:
    """Run the script and report its own verdict; anything less is a system failure.

    Args:
        flags: the command line's global flags.
        script: the script's path on this host; a .ps1 is PowerShell's.
        stage: the name of gitlab-runner's sub-stage.

    Returns:
        The exit code for gitlab-runner.

    Raises:
        DriverError: the script was not run.
    """
    cancel = _Cancel()
    env = RunnerEnvironment.from_environ(os.environ)
    directory = jobs.linked(env.tmpdir, env.variable("CI_JOB_ID") or "")
    if not directory:
        from fargate_driver.stages.place import job_directory

        directory = job_directory(flags, env)
    access = jobs.load_access(directory)
    if not access:
        raise DriverError(f"{directory}: no record of a started task; did prepare succeed?")
    connection = Connection(directory, access.host, access.port, access.user)
    lost_stage = jobs.lost_stage(directory)
    patience = _PATIENCE if lost_stage is None else _LITTLE_PATIENCE

    def run() -> Outcome:
        return run_script(
            connection,
            script,
            shell="pwsh" if script.endswith(".ps1") else access.shell,
            init_pid=access.init_pid,
            state_directory=access.state_directory,
            cancelled=lambda: cancel.wanted,
            wakeup_fd=cancel.wakeup,
        )

    try:
        outcome = run()
    except MasterGoneError as e:
        try:
            _reconnect(connection, access, patience, lost_stage)
            outcome = run()
        except DriverError as again:
            outcome = Outcome(None, f"{e}; a new connection failed: {again}", cancelled=False)
    except OSError as e:
        raise DriverError(f"{stage}: the script {script} can't be read: {e.strerror}") from e
    if cancel.wanted or outcome.cancelled:
        say(f"{stage}: {outcome.lost or 'cancelled'}")
        return exits.system_failed(env)
    if outcome.code is None:
        from fargate_driver.stages import lost, operator

        why = lost.why(directory, patience, connected=outcome.connected)
        say(f"{stage}: {outcome.lost}; {why}")
        operator.tell(flags, env, f"{stage}: {outcome.lost}; {why}")
        _end_or_note(connection, access, outcome)
        return exits.system_failed(env)
    return _script_failed(env, directory, outcome.code) if outcome.code else exits.succeeded(env)


def _script_failed(env: RunnerEnvironment, directory: str, code: int) -> int:
    if code == _KILLED:
        from fargate_driver.stages import killed

        if hint := killed.hint(directory, code):
            say(hint)
    return exits.script_failed(env, code)


def _reconnect(
    connection: Connection, access: Access, patience: float, lost_stage: str | None
) -> None:
    """Connect again, to the same host key, and end what a lost stage left running."""
    from fargate_driver.ssh.master import reopen_master

    reopen_master(connection, patience)
    if lost_stage:
        end_stage(connection, lost_stage, init_pid=access.init_pid)
    jobs.forget_lost(connection.directory)


def _end_or_note(connection: Connection, access: Access, outcome: Outcome) -> None:
    """See that nothing of a stage without a verdict runs beside the stages to come."""
    if outcome.connected:
        try:
            end_stage(connection, outcome.stage, init_pid=access.init_pid)
        except DriverError as e:
            say(f"what the stage left may still run: {e}")
    else:
        jobs.note_lost(connection.directory, outcome.stage)


class _Cancel:
    """SIGTERM as something that can be asked and waited for."""

    def __init__(self) -> None:
        self.wanted = False
        self.wakeup, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, _signal: int, _frame: object) -> None:
        self.wanted = True
