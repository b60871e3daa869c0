"""Runs one script in the job container and tells how it ended."""

from __future__ import annotations

import os
import select
import stat
import time

from fargate_driver.ssh.connection import log_reason
from fargate_driver.ssh.errors import MasterGoneError, SessionRefusedError
from fargate_driver.ssh.marker import EndMarker
from fargate_driver.ssh.mux import Session, listens
from fargate_driver.ssh.remote import kill_command, stage_command

TYPE_CHECKING = False  # `typing` costs the run stage 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.ssh.connection import Connection

_CHUNK = 65536
_DEATH = 0.1
"""Seconds that a killed ControlMaster is given to be gone."""
_ROOM = 4096
"""Bytes that a writable pipe is sure to take without blocking (PIPE_BUF, see pipe(7))."""
_KILL_GRACE = 10
"""Seconds from SIGTERM to SIGKILL after a cancel."""
_LAST_WORDS = 2.0
"""Seconds in which the master tells, after the streams ended, how the session did."""
_KILL_LIMIT = 18.0
"""Seconds after which a cancelled stage ends whatever the container says."""


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
        stdout: Where the script's standard output goes.
        stderr: Where its standard error goes.

    Returns:
        The verdict. Background processes that the script left do not delay it.

    Raises:
        MasterGoneError: There is no connection; nothing was sent.
        SessionRefusedError: No session could be opened; nothing ran.
        OSError: The script file could not be read.
    """
    if cancelled():
        return Outcome(None, "cancelled before anything ran", cancelled=True)
    stage = _Stage(connection, init_pid, (stdout, stderr))
    # O_NONBLOCK: a FIFO must not hold the stage up before it is refused.
    with open(os.open(script_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0) as script:
        found = os.fstat(script.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(22, "not a regular file")  # errno.EINVAL
        size = found.st_size
        command = stage_command(
            wrapper_shell=connection.wrapper_shell,
            stage=stage.name,
            nonce=stage.nonce,
            size=size,
            shell=shell,
            init_pid=init_pid,
            state_directory=state_directory,
        )
        try:
            stage.start(command, script.fileno(), size)
            stage.pump(cancelled, wakeup_fd)
        finally:
            stage.close()
    return stage.outcome()


def end_stage(connection: Connection, stage: str, *, init_pid: int) -> None:
    """End what still runs of a stage whose connection was lost, over the new one.

    Args:
        connection: The job's connection.
        stage: `Outcome.stage` of the lost one.
        init_pid: As the probe found.

    Raises:
        MasterGoneError: There is no connection.
        SessionRefusedError: No session could be opened.
    """
    deadline = time.monotonic() + _KILL_LIMIT
    session = _killer(connection, stage, init_pid)
    try:
        poll = select.poll()
        poll.register(session, select.POLLIN)
        while not session.ended and poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
            session.receive()
    finally:
        session.close()


def _killer(connection: Connection, stage: str, init_pid: int) -> Session:
    """Open a session that ends a stage's processes in the container, and then ends itself."""
    command = kill_command(
        wrapper_shell=connection.wrapper_shell, stage=stage, init_pid=init_pid, grace=_KILL_GRACE
    )
    nothing = os.open("/dev/null", os.O_RDWR)
    try:
        return Session(connection.directory, command, (nothing, nothing, nothing))
    finally:
        os.close(nothing)


class _Stage:
    """The descriptors of a running stage, and what was heard so far."""

    def __init__(self, connection: Connection, init_pid: int, targets: tuple[int, int]) -> None:
        self.name = os.urandom(8).hex()
        """In the environment of all that the stage starts."""
        self.nonce = os.urandom(8).hex()
        """In the end markers, and unknown to the script's environment."""
        self._connection = connection
        self._init_pid = init_pid
        self._markers = (EndMarker(self.nonce), EndMarker(self.nonce))
        self._targets = dict(zip(self._markers, targets, strict=True))
        self._outputs: dict[int, EndMarker] = {}
        self._feed = -1
        self._script = -1
        self._unsent = 0
        self._session: Session | None = None
        self._killer: Session | None = None
        self._sessions: dict[int, Session] = {}
        self._cancelled = False
        self._deadline: float | None = None
        self._unheard = ""
        """Why output can't be passed on: the runner is gone, or its disk is full."""
        self._wants: Callable[[], bool] = bool
        self._wakeup = -1
        self._poll = select.poll()

    def start(self, command: bytes, script: int, size: int) -> None:
        """Open the session; the script's bytes follow while output is pumped."""
        self._script, self._unsent = script, size
        # The master makes what it gets non-blocking: it gets pipes, never the runner's own.
        stdin, self._feed = os.pipe()
        os.set_blocking(self._feed, False)
        passed = [stdin]
        try:
            for marker in self._markers:
                output, write_end = os.pipe()
                passed.append(write_end)
                self._outputs[output] = marker
                self._poll.register(output, select.POLLIN)
            self._session = Session(
                self._connection.directory, command, (stdin, passed[1], passed[2])
            )
        finally:
            for descriptor in passed:
                os.close(descriptor)
        self._sessions[self._session.fileno()] = self._session
        self._poll.register(self._session, select.POLLIN)
        self._poll.register(self._feed, select.POLLOUT)

    def pump(self, cancelled: Callable[[], bool], wakeup_fd: int) -> None:
        """Pass bytes both ways until both verdicts are in or both streams have ended."""
        self._wants, self._wakeup = cancelled, wakeup_fd
        self._poll.register(wakeup_fd, select.POLLIN)
        while not self._over():
            if not self._cancelled and (self._unheard or cancelled()):
                self._kill()
            for descriptor, _event in self._poll.poll(self._patience()):
                if descriptor == self._feed:
                    self._send()
                elif descriptor in self._outputs:
                    self._forward(descriptor)
                elif descriptor == wakeup_fd:
                    os.read(wakeup_fd, 512)
                else:
                    self._hear(self._sessions[descriptor])

    def _over(self) -> bool:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        if self._killer is not None:
            return False
        if all(marker.code is not None for marker in self._markers):
            return True
        return not self._outputs and self._session is not None and self._session.ended

    def _patience(self) -> float | None:
        """Milliseconds to wait for an event; None is for ever."""
        if self._deadline is None:
            return None
        return max(self._deadline - time.monotonic(), 0.0) * 1000

    def _send(self) -> None:
        """Send more of the script; the pipe stays open, its end tells the wrapper to leave."""
        try:
            sent = os.sendfile(self._feed, self._script, None, min(self._unsent, 1 << 20))
        except BlockingIOError:
            return
        except BrokenPipeError:
            sent = 0
        self._unsent -= sent
        if not self._unsent or not sent:
            self._poll.unregister(self._feed)

    def _forward(self, descriptor: int) -> None:
        marker = self._outputs[descriptor]
        data = os.read(descriptor, _CHUNK)
        passed = marker.feed(data) if data else marker.rest()
        if passed and not self._unheard:
            try:
                self._pass_on(self._targets[marker], passed)
            except OSError as error:
                # As after a cancel: nobody learns what the script does.
                self._unheard = f"the job's log can't be written to: {error.strerror}"
        if not data:
            self._poll.unregister(descriptor)
            del self._outputs[descriptor]
            os.close(descriptor)
            if not self._outputs and self._deadline is None:
                self._deadline = time.monotonic() + _LAST_WORDS

    def _pass_on(self, target: int, data: bytes) -> None:
        """Write all, unless a cancel's time is up; a reader that stalls must not delay a cancel."""
        view = memoryview(data)
        gate = select.poll()
        gate.register(target, select.POLLOUT)
        gate.register(self._wakeup, select.POLLIN)
        while view:
            events = [descriptor for descriptor, _ in gate.poll(self._patience())]
            if self._wakeup in events:
                os.read(self._wakeup, 512)
            if not self._cancelled and self._wants():
                self._kill()
            if target in events:
                try:
                    view = view[os.write(target, view[:_ROOM]) :]
                except BlockingIOError:
                    continue  # somebody made it non-blocking, and somebody filled it
            elif not events:
                return

    def _hear(self, session: Session) -> None:
        try:
            session.receive()
        except SessionRefusedError:
            if session is not self._killer:
                raise
            session.ended = True
        if session.ended:
            self._poll.unregister(session)
            del self._sessions[session.fileno()]
            session.close()
            if session is self._killer:
                self._killer = None

    def _kill(self) -> None:
        """Begin to end the stage's processes; a session of its own does it in the container."""
        self._cancelled = True
        self._deadline = time.monotonic() + _KILL_LIMIT
        try:
            self._killer = _killer(self._connection, self.name, self._init_pid)
        except MasterGoneError:
            return  # then the stage's own streams end as well
        self._sessions[self._killer.fileno()] = self._killer
        self._poll.register(self._killer, select.POLLIN)

    def outcome(self) -> Outcome:
        """What is known at the end."""
        codes = {marker.code for marker in self._markers if marker.code is not None}
        if len(codes) == 1:
            code = codes.pop()
            return Outcome(code, self._unheard, cancelled=self._cancelled, connected=True)
        if codes:
            lost = "its two streams report different exit codes: one is forged"
            return Outcome(None, lost, cancelled=self._cancelled, connected=True, stage=self.name)
        # A dying process closes its descriptors one by one: this session's may be the first.
        time.sleep(_DEATH)
        connected = listens(self._connection.directory)
        lost = self._unheard or self._lost(connected=connected)
        return Outcome(None, lost, cancelled=self._cancelled, connected=connected, stage=self.name)

    def _lost(self, *, connected: bool) -> str:
        status = None if self._session is None else self._session.status
        if status is not None:
            return f"the session ended with status {status} before the script's end was reported"
        if connected:
            return "the session was killed in the container before the script's end was reported"
        # ssh keeps to itself that the server closed the connection: it has no standard error.
        reason = log_reason(self._connection.directory) or (
            "closed from the task's side, or its ControlMaster was killed"
        )
        return f"the SSH connection was lost: {reason}"

    def close(self) -> None:
        """Hang up. The container's side ends by that; what runs on in the background stays."""
        for session in self._sessions.values():
            session.close()
        for descriptor in (*self._outputs, self._feed):
            if descriptor >= 0:
                os.close(descriptor)
