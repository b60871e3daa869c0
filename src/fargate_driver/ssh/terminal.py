"""A terminal in the job container: a further session on the job's connection, for a person.

OpenSSH's own client drives it, since that knows window sizes, raw mode and job control.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.ssh import ask
from fargate_driver.ssh.connection import SOCKET
from fargate_driver.ssh.environment import ENVIRONMENT
from fargate_driver.ssh.errors import MasterGoneError, SessionRefusedError
from fargate_driver.ssh.mux import listens
from fargate_driver.ssh.remote import ENVIRONMENT as MAKE_ENVIRONMENT
from fargate_driver.ssh.remote import FIND, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from fargate_driver.ssh.connection import Connection

MOST = 6
"""Terminals of one job. sshd allows ten sessions on a connection (MaxSessions, sshd_config(5)), and
a stage needs two of them: its script's, and another to end it."""
_LOST = 255
"""ssh's exit code where it ended before the program (ssh(1), EXIT STATUS)."""
_HANG_UP_LIMIT = 5.0
"""Seconds to hang up in the container."""
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

# $1 state directory, $2 the container's first process, $3 the project's folder, $4 the terminal's
# name, then the words.
#
# The variable keeps a stage's cancel away from what runs here, and tells it from what other
# terminals started. Programs are looked for as stages
# do it. Where there is no project's folder yet, the nearest one above it that exists is taken.
# The shell stays, since SSH servers report no exit code of a program that a signal ended.
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
fargate_gone=$1/$4
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
trap : INT QUIT
[ -e "$fargate_gone" ] && exit 129
"$fargate_x" "$@"
exit $?
"""

# $1 state directory, $2 the terminal's name. SIGHUP, as of a terminal that is closed: sshd sends
# none while the job's connection stands. The file is for a program that has not begun.
_HANG_UP = r"""
exec 2>/dev/null
: >"$1/$2"
for process in /proc/[0-9]*; do
  while read -r line || [ "$line" ]; do
    case $line in
      *"FARGATE_STAGE_ID=$2"*) kill -HUP "${process#/proc/}"; kill -CONT "${process#/proc/}" ;;
    esac
    line=
  done <"$process/environ"
done
"""


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

    Where this end goes first (SIGHUP of a closed terminal, SIGINT, SIGTERM, `~.`), the program and
    what it started get SIGHUP.

    Args:
        connection: The job's connection.
        words: The program and its arguments, which no shell takes apart.
        folder: Where to run it; where that is missing, in a folder above it.
        init_pid: As the probe found.
        state_directory: As the probe found.
        interactive: Whether to have a terminal there: standard input is one here.

    Returns:
        The program's exit code; 255 where the connection ended before it, and 128 more than a
        signal that ended it.

    Raises:
        MasterGoneError: The job has no connection.
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
    command = command_line(
        connection.wrapper_shell,
        FIND + MAKE_ENVIRONMENT + _TERMINAL,
        *(state_directory, str(init_pid), folder, name),
        *words,
    )
    # A socket that goes just now must not make ssh connect by itself.
    options = ("-oProxyCommand=false", "-oLogLevel=ERROR", "-t" if interactive else "-T")
    arguments = ["ssh", "-F", "none", "-S", SOCKET, *options, "-l", connection.user]
    environment = dict(ENVIRONMENT)
    if "TERM" in os.environ:
        environment["TERM"] = os.environ["TERM"]
    with _blocking():
        code, signals = _wait_for(
            [*arguments, "--", connection.host, command], connection.directory, environment
        )
    if code == _LOST or code < 0:
        hang_up = command_line(connection.wrapper_shell, _HANG_UP, state_directory, name)
        with contextlib.suppress(MasterGoneError, SessionRefusedError):
            ask.run(connection.directory, hang_up, time.monotonic() + _HANG_UP_LIMIT)
    if signals:
        return 128 + signals[0]
    return code if code >= 0 else 128 - code


def _wait_for(
    command: Sequence[bytes | str], directory: str, environment: dict[str, str]
) -> tuple[int, list[int]]:
    """Run ssh; its exit code, as subprocess has it, and the signals that came meanwhile."""
    signals: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        for process in running:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    try:
        running.append(subprocess.Popen(command, cwd=directory, env=environment))
        if signals:
            running[0].terminate()
        return running[0].wait(), signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _blocking() -> Iterator[None]:
    """Give the standard streams back as they were; a master that is killed does not."""
    before = {}
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            before[descriptor] = os.get_blocking(descriptor)
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
