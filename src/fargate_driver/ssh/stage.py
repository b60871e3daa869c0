"""A stage that runs: the bytes both ways, its cancel, and its going on over a new connection."""

from __future__ import annotations

import os
import select
import time

from fargate_driver.ssh.connection import log_reason
from fargate_driver.ssh.errors import MasterGoneError, SessionRefusedError
from fargate_driver.ssh.marker import Output
from fargate_driver.ssh.mux import Session, listens

TYPE_CHECKING = False  # `typing` costs the run stage 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.ssh.connection import Connection

KILL_LIMIT = 18.0
"""Seconds after which a cancelled stage ends whatever the container says."""
_CHUNK = 65536
_DEATH = 0.1
"""Seconds that a killed ControlMaster is given to be gone."""
_ROOM = 4096
"""Bytes that a writable pipe is sure to take without blocking (PIPE_BUF, see pipe(7))."""
_KILL_GRACE = 10
"""Seconds from SIGTERM to SIGKILL after a cancel."""
_LAST_WORDS = 2.0
"""Seconds in which the master tells, after the streams ended, how the session did."""
_OTHER_MARK = 60.0
"""Seconds of silence after one stream's end mark in which the other's is still waited for: longer
than OpenSSH's keepalives need to notice that the network is gone."""
_DONE = b"done\n"
"""What the container's side is told when all has arrived: it need not keep the logs."""


def killer(connection: Connection, stage: str, init_pid: int, state_directory: str) -> Session:
    """Open a session that ends a stage's processes in the container, and then ends itself."""
    from fargate_driver.ssh.kill import kill_command  # noqa: PLC0415 - few stages need it

    command = kill_command(
        wrapper_shell=connection.wrapper_shell,
        stage=stage,
        init_pid=init_pid,
        state_directory=state_directory,
        grace=_KILL_GRACE,
    )
    nothing = os.open("/dev/null", os.O_RDWR)
    try:
        return Session(connection.directory, command, (nothing, nothing, nothing))
    finally:
        os.close(nothing)


def _milliseconds(until: float | None) -> float | None:
    """How long to poll until a moment; None is for ever."""
    return None if until is None else max(until - time.monotonic(), 0.0) * 1000


def _drain(wakeup_fd: int) -> None:
    """Take in what woke the stage up; it may have been taken in while output was passed on."""
    try:
        os.read(wakeup_fd, 512)
    except BlockingIOError:
        return


class Stage:
    """The descriptors of a running stage, and what was heard so far.

    Args:
        connection: The job's connection.
        init_pid: As the probe found.
        state_directory: As the probe found.
        targets: Where the script's standard output and standard error go.

    Attributes:
        name: In the environment of all that the stage starts.
        code: After `pump`: the script's own exit code, None where there is no verdict.
        lost: After `pump`: why there is no verdict, or why nobody heard the output; or "".
        connected: After `pump`: whether the connection to the task stands.
        cancelled: Whether it was told to stop.
    """

    def __init__(
        self,
        connection: Connection,
        init_pid: int,
        state_directory: str,
        targets: tuple[int, int],
    ) -> None:
        self.name = os.urandom(8).hex()
        self.code: int | None = None
        self.lost = ""
        self.connected = True
        self.cancelled = False
        self._connection = connection
        self._directory = connection.directory
        self._init_pid = init_pid
        self._state_directory = state_directory
        # In the end mark. The container's side alone is told, over standard input: a script can
        # read every command line and environment there.
        self._nonce = os.urandom(8).hex()
        self._outputs = (Output(self.name, self._nonce), Output(self.name, self._nonce))
        self._targets = dict(zip(self._outputs, targets, strict=True))
        self._streams: dict[int, Output] = {}
        self._stdin = -1
        self._feed = -1
        self._script = -1
        self._unsent = 0
        self._session: Session | None = None
        self._killer: Session | None = None
        self._sessions: dict[int, Session] = {}
        self._refusals: dict[int, str] = {}
        self._deadline: float | None = None
        self._other_mark: float | None = None
        """When to do without the other stream's end mark: its relay died, or stands still."""
        self._unheard = ""
        """Why output can't be passed on: the runner is gone, or its disk is full."""
        self._wants: Callable[[], bool] = bool
        self._wakeup = -1
        self._poll = select.poll()

    def start(self, command: bytes, script: int, size: int) -> None:
        """Open the session; the script's bytes follow while output is pumped.

        Args:
            command: As `stage_command` makes it.
            script: The script's descriptor.
            size: Its bytes.
        """
        self._script, self._unsent = script, size
        self._open(command)
        os.write(self._feed, f"{self._nonce}\n".encode())
        self._poll.register(self._feed, select.POLLOUT)

    @property
    def position(self) -> int:
        """How many bytes have come of both streams."""
        return sum(output.position for output in self._outputs)

    def resume(self, script: str) -> None:
        """Open a session on the job's new master that goes on with the output.

        Args:
            script: The script's file in the container.
        """
        from fargate_driver.ssh.follow import (  # noqa: PLC0415 - nearly no stage needs it
            REFUSALS,
            follow_command,
        )

        self._hang_up()
        self._refusals = REFUSALS
        out, err = (output.position for output in self._outputs)
        for output in self._outputs:
            output.resume()
        command = follow_command(
            wrapper_shell=self._connection.wrapper_shell,
            script=script,
            stage=self.name,
            positions=(out, err),
        )
        self._open(command)

    def _open(self, command: bytes) -> None:
        # The master makes what it gets non-blocking: it gets pipes, never the runner's own.
        self._stdin, self._feed = os.pipe()
        os.set_blocking(self._feed, False)
        passed = []
        try:
            for output in self._outputs:
                stream, write_end = os.pipe()
                passed.append(write_end)
                self._streams[stream] = output
                self._poll.register(stream, select.POLLIN)
            self._session = session = Session(
                self._directory, command, (self._stdin, passed[0], passed[1])
            )
        finally:
            for descriptor in passed:
                os.close(descriptor)
        self._sessions[session.fileno()] = session
        self._poll.register(session, select.POLLIN)

    def pump(self, cancelled: Callable[[], bool], wakeup_fd: int) -> None:
        """Pass bytes both ways until both verdicts are in or both streams have ended.

        Args:
            cancelled: Asked after each event.
            wakeup_fd: Readable when `cancelled` may have changed.

        Raises:
            SessionRefusedError: The stage's session was not opened.
        """
        self._wants, self._wakeup = cancelled, wakeup_fd
        self._poll.register(wakeup_fd, select.POLLIN)
        while not self._over():
            if not self.cancelled and (self._unheard or cancelled()):
                self._kill()
            for descriptor, _event in self._poll.poll(_milliseconds(self._until())):
                if descriptor == self._feed:
                    self._send()
                elif descriptor in self._streams:
                    self._forward(descriptor)
                elif descriptor == wakeup_fd:
                    _drain(wakeup_fd)
                else:
                    self._hear(self._sessions[descriptor])
        self._judge()

    def _over(self) -> bool:
        until = self._until()
        if until is not None and time.monotonic() >= until:
            return True
        if self._killer is not None:
            return False
        if all(output.code is not None for output in self._outputs):
            return True
        return not self._streams and self._session is not None and self._session.ended

    def _until(self) -> float | None:
        """When to stop waiting for events; None is never."""
        return self._other_mark if self._deadline is None else self._deadline

    def _send(self) -> None:
        """Send more of the script; the pipe stays open, for the word that all has arrived."""
        try:
            sent = os.sendfile(self._feed, self._script, None, min(self._unsent, 1 << 20))
        except BlockingIOError:
            return
        self._unsent -= sent
        if not self._unsent or not sent:
            self._poll.unregister(self._feed)

    def _forward(self, descriptor: int) -> None:
        output = self._streams[descriptor]
        data = os.read(descriptor, _CHUNK)
        self._hand_over(output, output.feed(data))
        if any(output.code is not None for output in self._outputs):
            self._other_mark = time.monotonic() + _OTHER_MARK
        if not data:
            self._poll.unregister(descriptor)
            del self._streams[descriptor]
            os.close(descriptor)
            if not self._streams and self._deadline is None:
                self._deadline = time.monotonic() + _LAST_WORDS

    def _hand_over(self, output: Output, data: bytes) -> None:
        if data and not self._unheard:
            try:
                self._pass_on(self._targets[output], data)
            except OSError as error:
                # As after a cancel: nobody learns what the script does.
                self._unheard = f"the job's log can't be written to: {error.strerror}"

    def _pass_on(self, target: int, data: bytes) -> None:
        """Write all, unless a cancel's time is up; a reader that stalls must not delay a cancel."""
        view = memoryview(data)
        gate = select.poll()
        gate.register(target, select.POLLOUT)
        gate.register(self._wakeup, select.POLLIN)
        while view:
            events = [descriptor for descriptor, _ in gate.poll(_milliseconds(self._deadline))]
            if self._wakeup in events:
                _drain(self._wakeup)
            if not self.cancelled and self._wants():
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
        if session is self._session and session.status is not None and self._deadline is None:
            # The wrapper never ends before it is told to. Whatever else holds the streams open, no
            # mark will come.
            self._deadline = time.monotonic() + _LAST_WORDS
        if session.ended:
            self._poll.unregister(session)
            del self._sessions[session.fileno()]
            session.close()
            if session is self._killer:
                self._killer = None

    def _kill(self) -> None:
        """Begin to end the stage's processes; a session of its own does it in the container."""
        self.cancelled = True
        self._deadline = time.monotonic() + KILL_LIMIT
        try:
            self._killer = killer(
                self._connection, self.name, self._init_pid, self._state_directory
            )
        except MasterGoneError:
            return  # then the stage's own streams end as well
        self._sessions[self._killer.fileno()] = self._killer
        self._poll.register(self._killer, select.POLLIN)

    def _judge(self) -> None:
        """Find what is known now that the streams are over."""
        codes = {output.code for output in self._outputs if output.code is not None}
        self.code, self.lost, self.connected = None, self._unheard, True
        if len(codes) == 1:
            self.code = codes.pop()
        elif codes:
            self.lost = "its two streams report different exit codes: one is forged"
        elif self.cancelled and self._streams and self._session and self._session.status is None:
            self.connected = self._killer is None
            what = "its end was not reported" if self.connected else "the container did not answer"
            self.lost = (
                f"{self._unheard or 'cancelled'}; {what} within {KILL_LIMIT:.0f} s, the script may"
                " still run"
            )
        else:
            # A dying process closes its descriptors one by one: this session's may be the first.
            time.sleep(_DEATH)
            self.connected = listens(self._directory)
            self.lost = self._unheard or self._why_lost()

    def _why_lost(self) -> str:
        status = None if self._session is None else self._session.status
        if status in self._refusals:
            return f"its output can't be gone on with: {self._refusals[status]}"
        if status is not None:
            return f"the session ended with status {status} before the script's end was reported"
        if self.connected:
            return "the session was killed in the container before the script's end was reported"
        # ssh keeps to itself that the server closed the connection: it has no standard error.
        reason = log_reason(self._directory) or (
            "closed from the task's side, or its ControlMaster was killed"
        )
        return f"the SSH connection was lost: {reason}"

    def close(self) -> None:
        """Hang up. The container's side ends by that; what runs on in the background stays."""
        if self.code is None:
            for output in self._outputs:
                self._hand_over(output, output.rest())
        elif self._feed >= 0:
            self._dismiss()
        self._hang_up()

    def _dismiss(self) -> None:
        """Tell the container's side that all has arrived."""
        os.write(self._feed, _DONE)
        # A master that is hung up on does not read on: it has to have taken the word before.
        unread = select.poll()
        unread.register(self._stdin, select.POLLIN)
        deadline = time.monotonic() + _LAST_WORDS
        while unread.poll(0) and self._session is not None and time.monotonic() < deadline:
            if self._session.ended:
                return
            time.sleep(0.0002)

    def _hang_up(self) -> None:
        for session in self._sessions.values():
            session.close()
        for descriptor in (*self._streams, self._stdin, self._feed):
            if descriptor >= 0:
                os.close(descriptor)
        self._poll = select.poll()
        self._sessions, self._streams = {}, {}
        self._stdin = self._feed = -1
        self._session = self._killer = self._deadline = self._other_mark = None
