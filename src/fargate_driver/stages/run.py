"""The stage `run`: run one of gitlab-runner's scripts in the job's task.

It is called several times per job, so it imports what every call needs and nothing else; what only
a failure needs is imported there.
"""

from __future__ import annotations

import _signal as signal  # as in cli.py
import os
import time

from fargate_driver import jobs
from fargate_driver.console import say
from fargate_driver.errors import DriverError, explained
from fargate_driver.gitlab import exits
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.gitlab.stages import LAST, is_helpers
from fargate_driver.metrics import results
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.errors import MasterGoneError
from fargate_driver.ssh.session import Outcome, end_stage, run_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.jobs import Access

_REATTACH = 60.0
"""Seconds for a new connection while a script runs in the task. OpenSSH's keepalives have spent 40
before, where the network fell silent."""
_PATIENCE = 15.0
"""Seconds for a new connection between stages where the master is gone but the task may not be, and
then for ECS to notice why."""
_LITTLE_PATIENCE = 3.0
"""The same where the job waited in vain before."""
_BY_SIGNAL = (137, 143)
"""128 + SIGKILL and SIGTERM, as shells report them."""


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
    begun = time.monotonic()
    cancel = _Cancel()
    env = RunnerEnvironment.from_environ(os.environ)
    directory = _job_directory(flags, env)
    answer = results.LOST
    try:
        code, answer = _run(flags, env, directory, script, stage=stage, cancel=cancel)
    finally:
        results.note_stage(directory, stage, time.monotonic() - begun, answer)
    if stage == LAST:
        _say_costs(directory)
    return code


def _run(
    flags: Flags,
    env: RunnerEnvironment,
    directory: str,
    script: str,
    *,
    stage: str,
    cancel: _Cancel,
) -> tuple[int, str]:
    """Run the script; returns the exit code for gitlab-runner, and the result for the metrics."""
    place, access = _place(directory, stage)
    connection = Connection(place, access.host, access.port, access.user, access.wrapper_shell)
    _end_left(directory)
    patience = _LITTLE_PATIENCE if jobs.is_lost(place) else _PATIENCE
    running = jobs.Running(place)
    reattach = _Reattach(connection, directory, stage, cancel)

    def run() -> Outcome:
        try:
            return run_script(
                connection,
                script,
                shell="pwsh" if script.endswith(".ps1") else access.shell,
                init_pid=access.init_pid,
                state_directory=access.state_directory,
                cancelled=lambda: cancel.wanted,
                wakeup_fd=cancel.wakeup,
                begin=running.begin,
                reconnect=reattach,
            )
        except DriverError:
            running.over()  # it was not sent
            raise

    try:
        outcome = run()
    except MasterGoneError as e:
        try:
            _reconnect(connection, directory, patience)
            outcome = run()
        except DriverError as again:
            outcome = Outcome(None, f"{e}; a new connection failed: {again}", cancelled=False)
    except OSError as e:
        raise DriverError(f"{stage}: the script {script} can't be read: {e.strerror}") from e
    if not outcome.stage:
        running.over()
    if cancel.wanted or outcome.cancelled:
        say(f"{stage}: {outcome.lost or 'cancelled'}")
        if not outcome.connected:
            jobs.note_lost(place)
        return exits.system_failed(env), results.CANCELED
    patience = _LITTLE_PATIENCE if reattach.failed else patience
    if why := _why_no_verdict(directory, connection, outcome, patience):
        _say_to_all(flags, env, f"{stage}: {why}")
        _end_or_note(connection, access, outcome, running)
        return exits.system_failed(env), results.LOST
    return _answer(env, directory, stage, outcome.code or 0)


def _answer(env: RunnerEnvironment, directory: str, stage: str, code: int) -> tuple[int, str]:
    if not code:
        return exits.succeeded(env), "0"
    _tell_of_services(env, directory, stage)
    answer = exits.script_failed(env, code)
    told = answer == env.build_failure_exit_code
    return answer, str(code) if told else results.LOST


def _tell_of_services(env: RunnerEnvironment, directory: str, stage: str) -> None:
    """Tell of services that died, which may be why the author's script failed."""
    if not is_helpers(stage) and os.path.lexists(os.path.join(directory, jobs.SERVICES)):
        from fargate_driver.gitlab import variables
        from fargate_driver.stages import late_services

        variables.hide_secrets(env)
        late_services.tell(directory)


def _say_costs(directory: str) -> None:
    """Tell the job's author what the task costs."""
    from fargate_driver.costs import bill

    if found := bill.load(directory):
        say(found.words())


def _job_directory(flags: Flags, env: RunnerEnvironment) -> str:
    directory = jobs.linked(env.tmpdir, env.variable("CI_JOB_ID") or "")
    if directory:
        return directory
    from fargate_driver.stages.place import job_directory

    return job_directory(flags, env)


def _place(directory: str, stage: str) -> tuple[str, Access]:
    """The directory of the connection to the container that runs a stage, and how to get there."""
    place = directory
    if is_helpers(stage) and os.path.isdir(jobs.helper_directory(directory)):
        place = jobs.helper_directory(directory)
    access = jobs.load_access(place)
    if not access:
        raise DriverError(f"{place}: no record of a started task; did prepare succeed?")
    return place, access


def _end_left(directory: str) -> None:
    """End what an earlier stage left running, if any did."""
    if any(jobs.left_running(place) for place in jobs.places(directory)):
        from fargate_driver.stages import left

        left.end(directory)


def _why_no_verdict(
    directory: str, connection: Connection, outcome: Outcome, patience: float
) -> str:
    """As `_no_verdict`; what goes wrong with the explanation changes no verdict."""
    try:
        return _no_verdict(directory, connection, outcome, patience)
    except Exception as e:  # noqa: BLE001 - such as a driver that is just being updated
        if outcome.code is not None:
            return ""
        return f"{outcome.lost}; ECS can't be asked why: {explained(e, debug=False)}"


def _no_verdict(directory: str, connection: Connection, outcome: Outcome, patience: float) -> str:
    """Why the script's end is unknown, or isn't its own; "" where its exit code counts."""
    if outcome.code is None:
        from fargate_driver.stages import lost

        why = lost.why(directory, patience, connected=outcome.connected)
        return outcome.lost if why in outcome.lost else f"{outcome.lost}; {why}"
    if outcome.code in _BY_SIGNAL:
        from fargate_driver.stages import killed

        if why := killed.end_of_task(directory, connection.directory):
            return f"the script was ended with its task; {why}"
        if hint := killed.hint(directory, outcome.code):
            say(hint)
    return ""


def _say_to_all(flags: Flags, env: RunnerEnvironment, text: str) -> None:
    """Tell both the job's log and the operator's."""
    from fargate_driver.gitlab import variables
    from fargate_driver.stages import operator

    variables.hide_secrets(env)
    say(text)
    operator.tell(flags, env, text)


def _reconnect(connection: Connection, directory: str, patience: float) -> None:
    """Connect again, to the same host key."""
    from fargate_driver.stages.reattach import connect_again

    connect_again(connection, directory, patience)
    jobs.forget_lost(connection.directory)


def _end_or_note(
    connection: Connection, access: Access, outcome: Outcome, running: jobs.Running
) -> None:
    """See that nothing of a stage without a verdict runs beside the stages to come."""
    if outcome.code is not None:
        return
    if not outcome.connected:
        jobs.note_lost(connection.directory)
    elif outcome.stage:
        try:
            end_stage(
                connection,
                outcome.stage,
                init_pid=access.init_pid,
                state_directory=access.state_directory,
            )
            running.over()
        except DriverError as e:
            say(f"what the stage left may still run: {e}")


class _Reattach:
    """Connects again while the script runs in the task, and tells the job's log."""

    def __init__(self, connection: Connection, directory: str, stage: str, cancel: _Cancel) -> None:
        self._connection = connection
        self._directory = directory
        self._stage = stage
        self._cancel = cancel
        self.failed = False

    def __call__(self, why: str) -> bool:
        from fargate_driver.stages.reattach import connect_again

        say(f"{self._stage}: {why}; connecting again, the script goes on in the task meanwhile")
        try:
            connect_again(self._connection, self._directory, _REATTACH, lambda: self._cancel.wanted)
        except DriverError as e:
            say(f"{self._stage}: no new connection: {e}")
            self.failed = True
            return False
        say(f"{self._stage}: connected again: the output goes on where it was")
        return True


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
