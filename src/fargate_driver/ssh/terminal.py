"""A terminal in the job container: a further session on the job's connection, for a person.

OpenSSH's own client drives it, since that knows window sizes, raw mode and job control.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.errors import DriverError
from fargate_driver.ssh.connection import SOCKET
from fargate_driver.ssh.environment import ENVIRONMENT
from fargate_driver.ssh.errors import MasterGoneError, SessionRefusedError
from fargate_driver.ssh.mux import listens
from fargate_driver.ssh.remote import ENVIRONMENT as MAKE_ENVIRONMENT
from fargate_driver.ssh.remote import FIND, command_line
from fargate_driver.ssh.session import end_stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType
    from typing import Self

    from fargate_driver.ssh.connection import Connection

MOST = 6
"""Terminals of one job. sshd allows ten sessions on a connection (MaxSessions, sshd_config(5)), and
a stage needs two of them: its script's, and another to end it."""
LOST = 255
"""ssh's exit code where it ended before the program (ssh(1), EXIT STATUS)."""
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_END = 5.0
"""Seconds for ssh to end by SIGTERM."""
_PATIENCE = 20.0
"""Seconds in which a session comes free to end a program with: others may be ending theirs."""
_CHUNK = 65536

# $1 state directory, $2 the container's first process, $3 the project's folder, $4 the terminal's
# name, then the words.
#
# The variable keeps a stage's cancel away from what runs here, and the first line lets kill.py find
# this shell: it ends what descends from it. Programs are looked for as stages do it. Where there is
# no project's folder yet, the nearest one above it that exists is taken. The shell stays, since SSH
# servers report no exit code of a program that a signal ended, and so that a hang-up finds it.
_TERMINAL = r"""
fargate_builtin=
fargate_find_builtin() {
  fargate_find busybox || return
  case "
$("$fargate_x" --list)
" in
    *"
$1
"*) fargate_builtin=yes ;;
  esac
  [ "$fargate_builtin" ]
}
{ [ -O "$1" ] && [ -d "$1" ] && ! [ -L "$1" ]; } || mkdir -m 700 "$1" || exit 91
[ -f "$1/environment" ] || fargate_make_environment "$1" "$2"
. "$1/environment"
umask "$fargate_umask"
unset SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_ORIGINAL_COMMAND
export FARGATE_STAGE_ID=$4
fargate_folder=$3
fargate_cancelled=$1/$4.cancelled
while [ "$fargate_folder" ] && ! cd "$fargate_folder" 2>/dev/null; do
  fargate_folder=${fargate_folder%/*}
done
shift 4
case $1 in
  */*) fargate_x=$1 ;;
  *) fargate_find "$1" || fargate_find_builtin "$1" || {
    echo "fargate: the container has no program $1" >&2
    exit 127
  } ;;
esac
[ "$fargate_builtin" ] && set -- busybox "$@"
shift
trap : HUP INT QUIT
(
  [ -e "$fargate_cancelled" ] && exit 143
  exec "$fargate_x" "$@"
)
exit $?
"""


class _GoneError(BaseException):
    """This end goes before the program does."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number
        """The exit code for the signal, as shells report it."""


def terminal_command(
    words: Sequence[str],
    *,
    wrapper_shell: str,
    name: str,
    folder: str,
    init_pid: int,
    state_directory: str,
) -> bytes:
    """The command line of a terminal's program, which `end_stage` ends by the terminal's name.

    Args:
        words: The program and its arguments.
        wrapper_shell: As `Connection` has it.
        name: Begins with `terminal-`.
        folder: Where to run it; where that is missing, in a folder above it.
        init_pid: As the probe found.
        state_directory: As the probe found.
    """
    text = f": fargate-stage {name}\n{FIND}{MAKE_ENVIRONMENT}{_TERMINAL}"
    return command_line(wrapper_shell, text, state_directory, str(init_pid), folder, name, *words)


def open_terminal(
    connection: Connection,
    words: Sequence[str],
    *,
    folder: str,
    init_pid: int,
    state_directory: str,
    interactive: bool,
) -> int:
    """Run a program in the container with this process's standard streams.

    Where this end goes first (a signal, `~.`, a reader of the output that takes no more), the
    program is ended with all that it started: SSH servers need not do so while the job's connection
    stands.

    Args:
        connection: The job's connection.
        words: The program and its arguments, which no shell takes apart.
        folder: Where to run it; where that is missing, in a folder above it.
        init_pid: As the probe found.
        state_directory: As the probe found.
        interactive: Whether to have a terminal there, driven by the one here.

    Returns:
        The program's exit code; `LOST` where ssh ended before it; 128 and the signal that ended
        this, SIGPIPE where nobody reads the output any more.

    Raises:
        DriverError: The output can't be written.
        MasterGoneError: The job has no connection.
        NotEndedError: The program may still run.
        SessionRefusedError: There are as many terminals of this job as may be.
    """
    if not listens(connection.directory):
        raise MasterGoneError("the job has no connection: it is just starting, ending or lost")
    if _terminals(connection.directory) >= MOST:
        raise SessionRefusedError(
            f"{MOST} terminals of this job are open already, and its stages need the other"
            " sessions that sshd allows: close one"
        )
    name = f"terminal-{os.urandom(8).hex()}"
    command = terminal_command(
        words,
        wrapper_shell=connection.wrapper_shell,
        name=name,
        folder=folder,
        init_pid=init_pid,
        state_directory=state_directory,
    )
    # A socket that goes just now must not make ssh connect by itself.
    options = ("-oProxyCommand=false", "-oLogLevel=ERROR", "-t" if interactive else "-T")
    arguments = ["ssh", "-F", "none", "-S", SOCKET, *options, "-l", connection.user]
    environment = dict(ENVIRONMENT)
    if "TERM" in os.environ:
        environment["TERM"] = os.environ["TERM"]
    failed: OSError | None = None
    with _blocking(), _Signals() as signals:
        process = subprocess.Popen(
            [*arguments, "--", connection.host, command],
            cwd=connection.directory,
            env=environment,
            # The program is to learn that nobody reads on, which not every SSH server tells it.
            stdout=None if interactive else subprocess.PIPE,
        )
        try:
            with signals.raised():
                if process.stdout:
                    _pass_on(process.stdout.fileno())
                code = process.wait()
        except (_GoneError, OSError) as error:
            _end(process)
            code = error.code if isinstance(error, _GoneError) else LOST
            failed = error if isinstance(error, OSError) else None
            gone = True
        else:
            gone = code == LOST or code < 0
        if gone:
            _end_program(connection, name, init_pid, state_directory)
    if failed:
        raise DriverError(f"standard output can't be written: {failed.strerror}") from failed
    return code if code >= 0 else 128 - code


def _pass_on(output: int) -> None:
    """Write all that comes to standard output."""
    gate = select.poll()
    gate.register(1, select.POLLOUT)
    while data := os.read(output, _CHUNK):
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(1, view) :]
            except BlockingIOError:
                gate.poll()
            except BrokenPipeError as error:
                raise _GoneError(signal.SIGPIPE) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End ssh, which gives the terminal back as it was."""
    process.terminate()
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_program(connection: Connection, name: str, init_pid: int, state_directory: str) -> None:
    """End what runs in the container, with a session of its own."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            end_stage(connection, name, init_pid=init_pid, state_directory=state_directory)
        except MasterGoneError:
            return  # and the job with it
        except SessionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


class _Signals:
    """Takes the signals that would end this process, so that the program can be ended first."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._raising = False

    def __enter__(self) -> Self:
        # What nohup, or a shell for its background, has this process ignore stays ignored.
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Raise _GoneError for the first signal, one that came before included."""
        self._raising = True
        try:
            if self._came:
                raise _GoneError(self._came[0])
            yield
        finally:
            self._raising = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
        if self._raising and len(self._came) == 1:
            raise _GoneError(number)


@contextlib.contextmanager
def _blocking() -> Iterator[None]:
    """Give the standard streams back as they were; a master that is killed does not."""
    before = {}
    for descriptor in range(3):
        try:
            before[descriptor] = os.get_blocking(descriptor)
        except OSError:  # it is closed, and no pipe must get its number
            os.open(os.devnull, os.O_RDWR)
    try:
        yield
    finally:
        for descriptor, blocking in before.items():
            os.set_blocking(descriptor, blocking)


def _terminals(directory: str) -> int:
    """How many there are, told by their working directory and arguments."""
    ours = Path(directory).stat()
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.path.samestat((process / "cwd").stat(), ours):
                found += b"-oProxyCommand=false" in (process / "cmdline").read_bytes().split(b"\0")
    return found
