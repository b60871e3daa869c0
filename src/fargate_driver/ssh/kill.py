"""The shell text that ends all processes of a stage or terminal, and nothing else."""

from __future__ import annotations

from fargate_driver.ssh.remote import command_line
from fargate_driver.ssh.wrapper import FIND_WRAPPER

NOTHING_RUNS = 3
"""Exit status where there was nothing to end."""

# $1 the state directory, $2 the stage, $3 the container's first process (0: unknown), $4 seconds
# between TERM and KILL.
#
# A stage's processes are those that descend from its wrapper or are in a session of such a one,
# those with its variable in their environment, and orphans: children of the first process that
# began after the stage, in another session than that process's own children, and not marked as
# another stage's. The wrapper itself lives on to report. Only processes younger than the stage are
# looked at, so services of earlier stages, sshd and the first process are out of reach.
#
# Where there is no wrapper, be it over or not begun, only the variable tells. Spared in any case:
# process 1, the first process, this shell and all that it descends from (sshd), and whoever is in a
# session with one of these, unless something else makes it the stage's. A session or a parent 0
# is nobody's: a wrapper that was not found must not stand for it.
#
# A terminal beside the stages (terminal.py) is ended alike while its program runs, but for orphans:
# they may be the job's. What the program left behind when it ended by itself stays. SIGHUP is for
# interactive shells, which ignore SIGTERM.
_KILL = r"""
exec 2>/dev/null
stage=$2 init=$3 grace=$4 members=" " spared=" 0 1 " spared_sessions=" 0 "
echo >"$1/$stage.cancelled"
stage_of() {
  found=
  while read -r line || [ "$line" ]; do
    case $line in
      *"FARGATE_STAGE_ID=$stage"*) found=this; return ;;
      *FARGATE_STAGE_ID=relay*) found=relay; return ;;
      *FARGATE_STAGE_ID=*) found=other ;;
    esac
    line=
  done <"/proc/$1/environ"
}
belongs() {
  stage_of "$1"
  case $found in
    this) return 0 ;;
    other | relay) return 1 ;;
  esac
  case $name in sshd* | dropbear*) return 1 ;; esac
  [ "$orphans" ] && [ "$parent" = "$init" ] && [ "$session" != "$init_session" ]
}
join() {
  members="$members$1 " victims="$victims $1"
  case $spared_sessions in *" $2 "*) ;; *) sessions="$sessions$2 " ;; esac
}
scan() {
  members=" " sessions=" " others= victims=
  [ "$wrapper" -eq 0 ] || members=" $wrapper " sessions=" $wrapper "
  for process in /proc/[0-9]*; do
    process=${process#/proc/}
    case "$spared$wrapper " in *" $process "*) continue ;; esac
    look "$process" && [ "$start" -ge "$since" ] || continue
    case $state in Z | X) continue ;; esac
    if belongs "$process"; then join "$process" "$session"
    elif [ "$found" != relay ]; then others="$others $process:$parent:$session"; fi
  done
  grown=yes
  while [ "$grown" ]; do
    grown= rest=
    for process in $others; do
      session=${process##*:} parent=${process%:*} parent=${parent#*:}
      case "$members=$sessions" in
        *" $parent "*=* | *=*" $session "*) join "${process%%:*}" "$session"; grown=yes ;;
        *) rest="$rest $process" ;;
      esac
    done
    others=$rest
  done
  [ "$victims" ]
}
spare() {
  spared="$spared$1 "
  look "$1" && spared_sessions="$spared_sessions$session "
}
now() {
  read -r now line </proc/uptime
  now=${now%.*}
}
process=$$
while [ "$process" -gt 0 ] && spare "$process"; do process=$parent; done
init_session= orphans=
[ "$init" -gt 0 ] && spare "$init" && init_session=$session
find_wrapper "$stage" && {
  orphans=$init_session
  spared_sessions="$spared_sessions$wrapper_session "
}
hang_up=
case $stage in terminal-*) [ "$wrapper" -gt 0 ] || exit 3; orphans= hang_up=yes ;; esac
scan || exit 3
[ "$hang_up" ] && kill -HUP $victims
kill -TERM $victims
kill -CONT $victims
now
end=$((now + grace))
while scan; do
  now
  if [ "$now" -lt "$end" ]; then
    sleep 0.1 || sleep 1
  else
    kill -KILL $victims
    [ "$now" -lt $((end + 5)) ] || exit 1
  fi
done
"""


def kill_command(
    *, wrapper_shell: str, stage: str, init_pid: int, state_directory: str, grace: int
) -> bytes:
    """The command line that ends all processes of a stage, or keeps it from beginning.

    Its exit status is 0 when they are ended, NOTHING_RUNS, or another where some live on.

    Args:
        wrapper_shell: As `Connection` has it.
        stage: Its name, as given to `stage_command`.
        init_pid: The container's first process; 0 when unknown.
        state_directory: The container's private directory that the probe made.
        grace: Seconds from SIGTERM to SIGKILL.
    """
    words = (state_directory, stage, str(init_pid), str(grace))
    return command_line(wrapper_shell, FIND_WRAPPER + _KILL, *words)
