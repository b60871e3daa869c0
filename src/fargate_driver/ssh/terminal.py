"""A terminal in the job container: a further session on the job's connection, for a person.

OpenSSH's own client drives it, since that knows window sizes, raw mode and job control.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.ssh.connection import SOCKET
from fargate_driver.ssh.environment import ENVIRONMENT
from fargate_driver.ssh.errors import MasterGoneError, SessionRefusedError
from fargate_driver.ssh.mux import listens
from fargate_driver.ssh.remote import ENVIRONMENT as MAKE_ENVIRONMENT
from fargate_driver.ssh.remote import FIND, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fargate_driver.ssh.connection import Connection

MOST = 6
"""Terminals of one job. sshd allows ten sessions on a connection (MaxSessions, sshd_config(5)), and
a stage needs two of them: its script's, and another to end it."""

# $1 state directory, $2 the container's first process, $3 the project's folder, then the words.
#
# The variable keeps a stage's cancel away from what runs here. Programs are looked for as stages
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
export FARGATE_STAGE_ID=terminal
fargate_folder=$3
while [ "$fargate_folder" ] && ! cd "$fargate_folder" 2>/dev/null; do
  fargate_folder=${fargate_folder%/*}
done
shift 3
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
"$fargate_x" "$@"
exit $?
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

    Args:
        connection: The job's connection.
        words: The program and its arguments, which no shell takes apart.
        folder: Where to run it; where that is missing, in a folder above it.
        init_pid: As the probe found.
        state_directory: As the probe found.
        interactive: Whether to have a terminal there: standard input is one here.

    Returns:
        The program's exit code; 255 where the connection ended before it.

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
    command = command_line(
        connection.wrapper_shell,
        FIND + MAKE_ENVIRONMENT + _TERMINAL,
        *(state_directory, str(init_pid), folder),
        *words,
    )
    # A socket that goes just now must not make ssh connect by itself.
    options = ("-oProxyCommand=false", "-oLogLevel=ERROR", "-t" if interactive else "-T")
    arguments = ["ssh", "-F", "none", "-S", SOCKET, *options, "-l", connection.user]
    environment = dict(ENVIRONMENT)
    if "TERM" in os.environ:
        environment["TERM"] = os.environ["TERM"]
    with _blocking():
        process = subprocess.Popen(
            [*arguments, "--", connection.host, command],
            cwd=connection.directory,
            env=environment,
        )
        while True:
            # Ctrl-C without a terminal there is ssh's to act on.
            with contextlib.suppress(KeyboardInterrupt):
                code = process.wait()
                return code if code >= 0 else 128 - code


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
