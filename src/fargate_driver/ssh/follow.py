"""Going on with a stage's output over a new connection, from the logs that its relays keep."""

from __future__ import annotations

from fargate_driver.ssh.remote import LONGEST_LOG, command_line
from fargate_driver.ssh.wrapper import FIND_WRAPPER

# $1 the script's file in the state directory, $2 the stage, $3 and $4 how many bytes of standard
# output and standard error the client has.
#
# First the lost connection's server process, the wrapper's parent, is ended where it still waits
# for a network that fell silent: with its pipes full, relays and script stand still. Then the logs
# are read on through descriptors that keep their place. When the wrapper is gone, they get a few
# more looks: it may have ended right after the end mark, or been killed. A log at its size limit
# has lost what came after.
_FOLLOW = r"""
exec 3>&2 2>/dev/null 7<&0
log=$1
find_wrapper "$2" && {
  read -r name <"/proc/$above/comm"
  case $name in sshd* | dropbear*) [ "$above" -le 1 ] || kill -KILL "$above" ;; esac
}
pause() { sleep 0.2 || sleep 1; }
kept() {
  [ -f "$log.1" ] && [ -f "$log.2" ] &&
    [ "$(wc -c <"$log.1")" -ge "$3" ] && [ "$(wc -c <"$log.2")" -ge "$4" ]
}
looks=0
until kept "$@"; do
  [ "$looks" -lt 25 ] || {
    [ -f "$log.1" ] && exit 96
    exit 95
  }
  [ "$wrapper" -gt 0 ] || looks=25
  looks=$((looks + 1))
  pause
done
exec 4<"$log.1" 5<"$log.2"
printf "\0fargate-begin:%s\n" "$2"
printf "\0fargate-begin:%s\n" "$2" >&3
{
  tail -c +"$(($3 + 1))" <&4
  tail -c +"$(($4 + 1))" <&5 >&3
  looks=0
  while [ "$looks" -lt 5 ]; do
    for descriptor in 4 5; do
      read -r line position <"/proc/self/fdinfo/$descriptor"
      [ "$position" -lt LOG_BYTES ] || exit 96
    done
    pause
    wrapper_runs || looks=$((looks + 1))
    cat <&4
    cat <&5 >&3
  done
  exit 97
} &
follower=$!
exec >/dev/null 3>&-
{
  read -r line <&7 && rm -f "$log" "$log".* "${log%.ps1}.cancelled"
  kill -KILL "$follower"
} &
wait "$follower"
status=$?
kill -KILL $!
exit "$status"
""".replace("LOG_BYTES", str(LONGEST_LOG << 20))

REFUSALS = {
    95: "the task has no log of it: it had not begun, or something emptied the state directory",
    96: (
        f"its log is cut: one stream printed more than {LONGEST_LOG} MiB, or the container's disk"
        " is full"
    ),
    97: "it was killed in the container, or the log of it was cut",
}
"""Why the output can't be gone on with, by the session's exit status."""


def follow_command(
    *, wrapper_shell: str, script: str, stage: str, positions: tuple[int, int]
) -> bytes:
    """The command line that prints the rest of a stage's output, marks included, as it comes.

    It ends when standard input does; a line there says that all has arrived, and removes the logs.

    Args:
        wrapper_shell: As `Connection` has it.
        script: The script's file, as `script_file` names it.
        stage: The stage's name.
        positions: How many bytes of its two streams have arrived.
    """
    places = (str(position) for position in positions)
    return command_line(wrapper_shell, FIND_WRAPPER + _FOLLOW, script, stage, *places)
