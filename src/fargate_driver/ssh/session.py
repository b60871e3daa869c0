"""Runs one script in the job container and tells how it ended."""

from __future__ import annotations

import os
import select
import stat
import time

from fargate_driver.ssh.errors import MasterGoneError, NotEndedError, SessionRefusedError
from fargate_driver.ssh.remote import script_file, stage_command
from fargate_driver.ssh.stage import Stage, killer

TYPE_CHECKING = False  # `typing` costs the run stage 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.ssh.connection import Connection

END_LIMIT = 30.0
"""Seconds for ending a stage: 10 from TERM to KILL, 5 for that, and what a busy task needs."""

_MOST_IN_VAIN = 6
"""Connections made again in a row that bring nothing, after which there are no more."""
_FIRST_PAUSE = 1.0
"""Seconds before another one after such a one; each further pause is twice as long."""
_STOOD = 60.0
"""Seconds for which a connection stands that was worth it although the script printed nothing."""


class Outcome:
    """How a stage's session ended.

    Attributes:
        code: The script's own exit code (128+n where a signal ended it), None when no verdict
            arrived: then nothing is known about the script, success least of all.
        lost: Why there is no verdict; "" where there is one.
        connected: Whether the connection to the task stands: then the container is to blame.
        stage: What may still run of it, for `end_stage`; "" for nothing.
        cancelled: Whether the stage was told to stop; then a code of 0 is no success either.
    """

    __slots__ = ("cancelled", "code", "connected", "lost", "stage")

    def __init__(
        self,
        code: int | None,
        lost: str,
        *,
        cancelled: bool,
        connected: bool = False,
        stage: str = "",
    ) -> None:
        self.code = code
        self.lost = lost
        self.cancelled = cancelled
        self.connected = connected
        self.stage = stage


def run_script(
    connection: Connection,
    script_path: str,
    *,
    shell: str,
    init_pid: int,
    state_directory: str,
    cancelled: Callable[[], bool],
    wakeup_fd: int,
    begin: Callable[[str], None] = lambda _stage: None,
    reconnect: Callable[[str], bool] = lambda _why: False,
    stdout: int = 1,
    stderr: int = 2,
) -> Outcome:
    """Run a script as a session on the job's master and pass its output on, byte for byte.

    Args:
        connection: The job's connection.
        script_path: The script on this machine; of any size.
        shell: "bash", "sh" or "pwsh", as the probe found.
        init_pid: As the probe found.
        state_directory: As the probe found.
        cancelled: Asked after each event; once true, the stage's processes are ended: TERM, and
            KILL after 10 s, while output goes on.
        wakeup_fd: Non-blocking, readable when `cancelled` may have changed, as
            `signal.set_wakeup_fd` makes it; drained here.
        begin: Called with the stage's name, for `end_stage`, before anything is sent.
        reconnect: Called with the reason when the connection is lost while the script runs;
            returns whether a new master stands. Then output goes on where it was, from what the
            container kept, and so does the wait for the verdict.
        stdout: Where the script's standard output goes.
        stderr: Where its standard error goes.

    Returns:
        The verdict. Background processes that the script left do not delay it.

    Raises:
        MasterGoneError: There is no connection; nothing was sent.
        SessionRefusedError: No session could be opened.
        OSError: The script file could not be read.
    """
    if cancelled():
        return Outcome(None, "cancelled before anything ran", cancelled=True)
    stage = Stage(connection, init_pid, state_directory, (stdout, stderr))
    # O_NONBLOCK: a FIFO must not hold the stage up before it is refused.
    with open(os.open(script_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0) as script:
        found = os.fstat(script.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(22, "not a regular file")  # errno.EINVAL
        size = found.st_size
        command = stage_command(
            wrapper_shell=connection.wrapper_shell,
            stage=stage.name,
            size=size,
            shell=shell,
            init_pid=init_pid,
            state_directory=state_directory,
        )
        begin(stage.name)
        try:
            stage.start(command, script.fileno(), size)
            stage.pump(cancelled, wakeup_fd)
            file = script_file(stage=stage.name, shell=shell, state_directory=state_directory)
            _go_on(stage, file, cancelled, wakeup_fd, reconnect)
        finally:
            stage.close()
    running = stage.name if stage.code is None else ""
    return Outcome(
        stage.code, stage.lost, cancelled=stage.cancelled, connected=stage.connected, stage=running
    )


def _go_on(
    stage: Stage,
    file: str,
    cancelled: Callable[[], bool],
    wakeup_fd: int,
    reconnect: Callable[[str], bool],
) -> None:
    """Connect again as often as the connection is lost, unless that brings nothing."""
    vain = 0
    while stage.lost and not (stage.connected or stage.cancelled):
        if vain == _MOST_IN_VAIN:
            stage.lost += f"; {vain} new connections in a row were lost at once"
            return
        if vain:
            _wait(wakeup_fd, _FIRST_PAUSE * 2 ** (vain - 1))
        if not reconnect(stage.lost):
            return
        begun, before = time.monotonic(), stage.position
        try:
            stage.resume(file)
            stage.pump(cancelled, wakeup_fd)
        except MasterGoneError:
            pass  # not to be taken for a script that was never sent
        except SessionRefusedError as error:
            stage.lost = str(error)
            return
        stood = stage.position > before or time.monotonic() - begun > _STOOD
        vain = 0 if stood else vain + 1


def _wait(wakeup_fd: int, seconds: float) -> None:
    """Wait, unless a cancel comes."""
    poll = select.poll()
    poll.register(wakeup_fd, select.POLLIN)
    poll.poll(seconds * 1000)


def end_stage(
    connection: Connection,
    stage: str,
    *,
    init_pid: int,
    state_directory: str,
    answer: float = END_LIMIT,
) -> bool:
    """End what still runs of a stage that nobody hears any more.

    Args:
        connection: The job's connection.
        stage: `Outcome.stage` of the lost one.
        init_pid: As the probe found.
        state_directory: As the probe found.
        answer: Seconds for the SSH server to open a session; a script may have stopped it.

    Returns:
        Whether anything of it ran. Now nothing does.

    Raises:
        MasterGoneError: There is no connection.
        SessionRefusedError: No session could be opened.
        NotEndedError: It may still run.
    """
    from fargate_driver.ssh.kill import NOTHING_RUNS  # noqa: PLC0415 - as `killer`, which needs it

    begun = time.monotonic()
    session = killer(connection, stage, init_pid, state_directory)
    try:
        poll = select.poll()
        poll.register(session, select.POLLIN)
        while not session.ended:
            deadline = begun + (END_LIMIT if session.opened else answer)
            if not poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
                break
            session.receive()
    finally:
        session.close()
    if session.status not in {0, NOTHING_RUNS}:
        if session.status is not None:
            raise NotEndedError(f"not all of its processes ended (exit status {session.status})")
        if session.ended:
            raise NotEndedError("the connection was lost while its processes were ended")
        if not session.opened:
            raise NotEndedError(f"the SSH server did not answer within {answer:.0f} s")
        raise NotEndedError(f"its processes are not ended after {END_LIMIT:.0f} s")
    return session.status == 0
