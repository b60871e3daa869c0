"""The shell functions that find the wrapper of a stage: who runs its script and reports its end."""

from __future__ import annotations

# `look PID` fails where there is no such process; else it sets name, state, parent, session and
# start (in clock ticks since the boot).
#
# `find_wrapper STAGE` sets wrapper, 0 where there is none, and of it since, above and
# wrapper_session: its start, parent and session. The wrapper is the oldest process with the stage's
# first line, and the parent where one of equal age has been forked from it. A script can make more
# of them, but none that is older than its wrapper.
#
# `wrapper_runs` tells whether the one that was found lives on.
FIND_WRAPPER = r"""
look() {
  stat=
  while read -r line; do stat="$stat $line"; done <"/proc/$1/stat" || return 1
  name=${stat#*\(}
  name=${name%\)*}
  set -- ${stat##*\) }
  state=$1 parent=$2 session=$4 start=${20}
  [ "$start" ]
}
find_wrapper() {
  wrapper=0 since=0 above=0 wrapper_session=0
  for process in /proc/[0-9]*; do
    process=${process#/proc/} line=
    read -r line <"/proc/$process/cmdline"
    case $line in *": fargate-stage $1"*) ;; *) continue ;; esac
    look "$process" || continue
    if [ "$wrapper" -eq 0 ] || [ "$start" -lt "$since" ] ||
      { [ "$start" -eq "$since" ] && [ "$process" = "$above" ]; }; then
      wrapper=$process since=$start above=$parent wrapper_session=$session
    fi
  done
  [ "$wrapper" -gt 0 ]
}
wrapper_runs() {
  look "$wrapper" && [ "$start" = "$since" ] && [ "$state" != Z ]
}
"""
