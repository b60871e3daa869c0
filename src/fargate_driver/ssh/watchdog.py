"""The job's time limit, kept inside the task: it ends itself when nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.ssh import ask
from fargate_driver.ssh.errors import MasterGoneError, UnusableContainerError
from fargate_driver.ssh.remote import command_line

if TYPE_CHECKING:
    from fargate_driver.ssh.connection import Connection
    from fargate_driver.ssh.probe import Probe

# $1 the watchdog's text, $2 seconds, $3 the container's first process (0: unknown), $4 the state
# directory. Where the first process is unknown, it is the session's topmost sshd that all hangs on.
# The variable keeps a stage's cancel away from the watchdog.
_START = r"""
exec 2>/dev/null
root=$3 process=$PPID
[ "$root" -gt 0 ] || while read -r name <"/proc/$process/comm"; do
  case $name in sshd* | dropbear*) root=$process ;; *) break ;; esac
  while read -r name value; do
    case $name in PPid:) process=$value ;; esac
  done <"/proc/$process/status"
done
[ "$root" -gt 0 ] || exit 97
export FARGATE_STAGE_ID=watchdog
set -- /bin/sh -c "$1" fargate-watchdog "$2" "$root" "$4"
command -v setsid && set -- setsid "$@"
"$@" </dev/null >/dev/null &
"""

# $1 seconds, $2 the process that the task hangs on, $3 the state directory.
#
# It needs a shell, /proc and `sleep`. /proc/uptime does not jump as clocks do, and tells a sleep
# that is over from one that somebody killed.
#
# The time being up, it says so in the running stage's output and in the container's log, gives that
# a second to be heard, asks the root process to end, and then kills that and all that descended
# from it, itself excepted: most entrypoints end with their sshd. (A PID namespace's first process
# can't be killed from inside it, nor can an ordinary user kill what is not his.) Never `kill -1`:
# not every task has a PID namespace of its own. `1<>` opens a pipe without waiting for a reader.
_WATCHDOG = r"""
exec 2>/dev/null
trap "" HUP INT QUIT TERM USR1 USR2
now() {
  read -r now line </proc/uptime
  now=${now%.*}
}
now
end=$((now + $1))
while [ "$now" -lt "$end" ]; do
  sleep "$((end - now))"
  now
done
for place in "$3"/*.err "/proc/$2/fd/2"; do
  [ -p "$place" ] && echo "fargate: MaxLifetime of $1 s is over: the task ends itself" 1<>"$place"
done
look() {
  parent=
  while read -r name value; do
    case $name in PPid:) parent=$value; break ;; esac
  done <"/proc/$1/status"
  [ "$parent" ]
}
gather() {
  grown=yes
  while [ "$grown" ]; do
    grown=
    for process in /proc/[0-9]*; do
      process=${process#/proc/}
      case $members in *" $process "*) continue ;; esac
      look "$process" || continue
      case $members in *" $parent "*) members="$members$process "; grown=yes ;; esac
    done
  done
}
sleep 1
members=" $2 "
gather
kill -TERM "$2"
left=10
while [ "$left" -gt 0 ] && look "$2"; do
  sleep 1
  left=$((left - 1))
done
for round in 1 2 3; do
  gather
  for process in $members; do
    [ "$process" = $$ ] || kill -KILL "$process"
  done
  sleep 1
done
"""


def start(connection: Connection, found: Probe, seconds: int, deadline: float) -> bool:
    """Start the process in the job container that ends the task when its time is up.

    It outlives the connection, and ends with the container at the latest.

    Args:
        connection: The job's connection, its master open.
        found: What the probe found.
        seconds: The time, from now on.
        deadline: When to give up, as `time.monotonic` counts.

    Returns:
        Whether there is a process that can be ended: not so where the container's first process is
        unknown and the SSH server goes by another name than OpenSSH's and dropbear's.

    Raises:
        MasterGoneError: The connection was lost.
        SessionRefusedError: The server allows no session.
        UnusableContainerError: It did not start, or not in time.
    """
    words = (_WATCHDOG, str(seconds), str(found.init_pid), found.state_directory)
    command = command_line(connection.wrapper_shell, _START, *words)
    _, session = ask.run(connection.directory, command, deadline)
    if session.status is None and session.ended:
        raise MasterGoneError("the SSH connection was lost while MaxLifetime's watchdog started")
    if session.status not in {0, 97}:
        status = "no" if session.status is None else session.status
        raise UnusableContainerError(f"MaxLifetime's watchdog gave {status} exit status at start")
    return session.status == 0
