"""The shell texts that run in the job container, and the command lines that carry them.

They are POSIX sh and need /proc, `head`, `rm`, `mkdir`, `mkfifo`, `tee`, `tr`, `sed`, `cat` and
`sleep` as busybox has them; what goes on after a lost connection is in follow.py. They hold neither
a single quote nor two backslashes in a row: between single quotes every login shell then passes
them on unchanged (fish treats those two specially).
"""

from __future__ import annotations

STAGE_VARIABLE = "FARGATE_STAGE_ID"
"""In the environment of all that a stage starts, so that cancelling finds what got away."""

LONGEST_LOG = 64
"""MiB of one stream of a stage that can be resumed. GitLab keeps 4 MiB of a job's log by default
(`output_limit`, https://docs.gitlab.com/runner/configuration/advanced-configuration/)."""

# Looks for program $1 on the PATH: fargate_x is its path, or empty. `command -v` will not do: a
# shell that has programs built in (busybox as the tools have it) says their names, and would run
# them in place of the image's own.
FIND = r"""
fargate_find() {
  set -f
  IFS=:
  for fargate_x in $PATH; do
    fargate_x=${fargate_x:-.}/$1
    [ -f "$fargate_x" ] && [ -x "$fargate_x" ] && break
    fargate_x=
  done
  unset IFS
  set +f
  [ "$fargate_x" ]
}
"""

# Makes $1/environment from the container's first process ($2; 0: unknown), once per job: lines
# `export NAME='value'` for `.`, the fastest way that every shell has. NUL and newline swap roles
# for sed by way of \1. Left out: what belongs to sshd, and what shells keep to themselves or make
# read-only. The umask is kept as well, since asking for it costs a process.
ENVIRONMENT = r"""
fargate_make_environment() {
  fargate_umask=$(umask) fargate_q=$(printf "\047")
  umask 077
  {
    echo "fargate_umask=$fargate_umask"
    [ "$2" -eq 0 ] || tr "\0\n" "\n\001" <"/proc/$2/environ" | LC_ALL=C sed -n \
      -e "/^SSH_/d; /^PWD=/d; /^OLDPWD=/d; /^SHLVL=/d; /^_=/d; /^IFS=/d; /^OPTIND=/d" \
      -e "/^UID=/d; /^EUID=/d; /^PPID=/d; /^GROUPS=/d" \
      -e "/^SHELLOPTS=/d; /^BASHOPTS=/d; /^BASH_VERSINFO=/d" \
      -e "s/$fargate_q/$fargate_q\"$fargate_q\"$fargate_q/g" \
      -e "s/^\([A-Za-z_][A-Za-z0-9_]*\)=\(.*\)/export \1=$fargate_q\2$fargate_q/p" |
      tr "\001" "\n"
  } >"$1/environment.$$" && mv "$1/environment.$$" "$1/environment"
}
"""

# $1 state directory, $2 nonce of the marks, $3 the script's size in bytes, $4 the container's first
# process, $5 the script's file, $6 the stage, then the interpreter's words up to that file.
#
# Order matters. The script is read whole and counted (by the file position, which costs no
# process) before anything of it runs. Its output goes through two relays, `tee`, which keep a log
# of each stream: what was on its way when a connection is lost can be had from there, and once
# sshd's pipes are broken they go on with the logs alone. The end mark follows the script's output
# through the relays, so the logs are the record of the verdict as well. A relay drops its log at a
# size limit; a cancel spares it.
#
# After the script the wrapper waits for the client's word that all has arrived, and holds the
# pipes' reading ends: when the relays end, a background process that still writes is not ended by
# SIGPIPE, and what it writes is drained. No word means that the connection was lost: then the
# relays and logs stay. setsid gives the script a process group of its own, so that its
# `kill -9 0` ends everything but the one who reports. (setsid forks in a group's leader only, which
# the subshell is not.) Where there is no setsid the traps do that for milder signals; they are
# handlers, not SIG_IGN, so that the script does not inherit them.
_STAGE = r"""
fargate_relay() {
  trap "" HUP INT QUIT PIPE TERM USR1 USR2 XFSZ
  ulimit -f LOG_BLOCKS
  export FARGATE_STAGE_ID=relay
  exec tee "$1" 2>/dev/null
}
{ [ -O "$1" ] && [ -d "$1" ] && ! [ -L "$1" ]; } || mkdir -m 700 "$1" || exit 91
[ -f "$1/environment" ] || fargate_make_environment "$1" "$4"
. "$1/environment"
[ "$4" -gt 0 ] && read -r fargate_x <"/proc/$4/comm" && [ "$fargate_x" = ending ] && {
  echo "fargate: the task is being stopped: no other stage begins in it" >&2
  exit 92
}
umask 077
exec 3>"$5"
head -c "$3" >&3
read -r fargate_x fargate_n <"/proc/$$/fdinfo/3"
exec 3>&-
[ "$fargate_n" = "$3" ] || {
  rm -f "$5"
  echo "fargate: $fargate_n of the $3 bytes of the script arrived: it was not run" >&2
  exit 93
}
mkfifo "$5.out" "$5.err" || {
  rm -f "$5" "$5.out" "$5.err"
  echo "fargate: no pipes can be made in $1: the script was not run" >&2
  exit 94
}
unset SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_ORIGINAL_COMMAND
fargate_nonce=$2 fargate_script=$5 fargate_stage=$6
shift 6
fargate_find "$1" && {
  fargate_n=$fargate_x
  shift
  set -- "$fargate_n" "$@"
}
trap : HUP INT QUIT TERM USR1 USR2
exec 3>&2 2>/dev/null
printf "\0fargate-begin:%s\n" "$fargate_nonce"
printf "\0fargate-begin:%s\n" "$fargate_nonce" >&3
fargate_relay "$fargate_script.1" <"$fargate_script.out" 3>&- &
fargate_relays=$!
fargate_relay "$fargate_script.2" <"$fargate_script.err" >&3 3>&- &
fargate_relays="$fargate_relays $!"
exec >"$fargate_script.out" 3>"$fargate_script.err"
umask "$fargate_umask"
export FARGATE_STAGE_ID="$fargate_stage"
command -v setsid >/dev/null && set -- setsid "$@"
(exec "$@" "$fargate_script" </dev/null 2>&3 3>&-)
fargate_n=$?
trap "" PIPE
printf "\0fargate-end:%s:%03d\n" "$fargate_nonce" "$fargate_n"
printf "\0fargate-end:%s:%03d\n" "$fargate_nonce" "$fargate_n" >&3
exec 4<"/proc/$$/fd/3" 3<"/proc/$$/fd/1" >/dev/null
fargate_logs=
read -r fargate_x && {
  kill -KILL $fargate_relays
  fargate_logs="$fargate_script.1 $fargate_script.2"
}
rm -f "$fargate_script" "$fargate_script.out" "$fargate_script.err" $fargate_logs
wait
{ read -r fargate_x && exec cat; } <&3 3<&- 4<&- &
{ read -r fargate_x && exec cat; } <&4 3<&- 4<&- &
""".replace("LOG_BLOCKS", str(LONGEST_LOG * 2048))  # of 512 bytes

# $1 the stage, $2 the container's first process (0: unknown), $3 seconds between TERM and KILL.
#
# A stage's processes are those that descend from its wrapper or are in a session of such a one,
# those with its variable in their environment, and orphans: children of the first process that
# began after the stage, in another session than that process's own children, and not marked as
# another stage's. The wrapper itself lives on to report. Only processes younger than the stage are
# looked at, so services of earlier stages, sshd and the first process are out of reach.
_KILL = r"""
exec 2>/dev/null
nonce=$1 init=$2 grace=$3 wrapper=0 since=0
look() {
  stat=
  while read -r line; do stat="$stat $line"; done <"/proc/$1/stat" || return 1
  name=${stat#*\(}
  name=${name%\)*}
  set -- ${stat##*\) }
  state=$1 parent=$2 session=$4 start=${20}
  [ "$start" ]
}
stage_of() {
  found=
  while read -r line || [ "$line" ]; do
    case $line in
      *"FARGATE_STAGE_ID=$nonce"*) found=this; return ;;
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
  [ "$init" -gt 0 ] && [ "$parent" = "$init" ] && [ "$session" != "$init_session" ]
}
join() {
  members="$members$1 " victims="$victims $1"
  [ "$2" = "$wrapper_session" ] || sessions="$sessions$2 "
}
scan() {
  members=" $wrapper " sessions=" $wrapper " others= victims=
  for process in /proc/[0-9]*; do
    process=${process#/proc/}
    [ "$process" != "$wrapper" ] && look "$process" && [ "$start" -ge "$since" ] || continue
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
now() {
  read -r now line </proc/uptime
  now=${now%.*}
}
for process in /proc/[0-9]*; do
  read -r line <"$process/cmdline"
  case $line in *": fargate-stage $nonce"*) wrapper=${process#/proc/} ;; esac
  line=
done
wrapper_session=
if [ "$wrapper" -gt 0 ] && look "$wrapper"; then since=$start wrapper_session=$session
else init=0; fi
[ "$init" -gt 0 ] && { look "$init" || init=0; }
init_session=$session
scan
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

# $1 nonce, then the directories that may hold the state directory. Prints lines NAME=VALUE between
# two lines with the nonce, so that what a login shell prints for itself does no harm.
_PROBE = r"""
exec 2>/dev/null
nonce=$1
shift
has_metadata() {
  while read -r line || [ "$line" ]; do
    case $line in *ECS_CONTAINER_METADATA_URI_V4=*) return 0 ;; esac
    line=
  done <"/proc/$1/environ"
  return 1
}
init=0 process=$$
while [ "$process" -gt 0 ]; do
  has_metadata "$process" && init=$process
  parent=0
  while read -r name value; do
    case $name in PPid:) parent=$value ;; esac
  done <"/proc/$process/status"
  process=$parent
done
if [ "$init" -eq 0 ]; then
  read -r name </proc/1/comm
  case $name in sshd* | dropbear* | tini | dumb-init | docker-init) init=1 ;; esac
fi
state=
for directory in ${TMPDIR:+"$TMPDIR"} "$@" "$HOME"; do
  mkdir -m 700 "$directory/.fargate-$nonce" && state=$directory/.fargate-$nonce && break
done
environment=
if [ "$state" ]; then
  fargate_make_environment "$state" "$init"
  . "$state/environment"
  while read -r line; do
    case $line in export*) environment=yes; break ;; esac
  done <"$state/environment"
fi
echo "fargate-probe $nonce"
echo "init=$init"
echo "state=$state"
echo "environment=$environment"
for program in bash sh busybox pwsh git gitlab-runner; do
  fargate_find "$program" && echo "has=$program"
done
echo "fargate-probe $nonce"
"""


def stage_command(
    *,
    wrapper_shell: str,
    stage: str,
    nonce: str,
    size: int,
    shell: str,
    init_pid: int,
    state_directory: str,
) -> bytes:
    """The command line that runs a script of `size` bytes, which follow on standard input.

    Args:
        wrapper_shell: As `Connection` has it.
        stage: Names the stage's processes; hexadecimal.
        nonce: What the end marker carries; hexadecimal.
        size: The script's size in bytes.
        shell: "bash", "sh", "busybox" or "pwsh".
        init_pid: The container's first process as the probe found it; 0 when unknown.
        state_directory: The container's private directory that the probe made.
    """
    interpreter: tuple[str, ...] = (shell,)
    if shell == "busybox":
        interpreter = ("busybox", "sh")
    elif shell == "pwsh":
        interpreter = (
            "pwsh", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File",
        )  # fmt: skip
    script = script_file(stage=stage, shell=shell, state_directory=state_directory)
    # The kill text finds the wrapper by this first line.
    text = f": fargate-stage {stage}\n{FIND}{ENVIRONMENT}{_STAGE}"
    words = (state_directory, nonce, str(size), str(init_pid), script, stage)
    return command_line(wrapper_shell, text, *words, *interpreter)


def script_file(*, stage: str, shell: str, state_directory: str) -> str:
    """Where a stage's script is in the container while it runs, beside its pipes and logs."""
    return f"{state_directory}/{stage}" + (".ps1" if shell == "pwsh" else "")


def kill_command(*, wrapper_shell: str, stage: str, init_pid: int, grace: int) -> bytes:
    """The command line that ends all processes of a stage.

    Args:
        wrapper_shell: As `Connection` has it.
        stage: Its name, as given to `stage_command`.
        init_pid: The container's first process; 0 when unknown.
        grace: Seconds from SIGTERM to SIGKILL.
    """
    return command_line(wrapper_shell, _KILL, stage, str(init_pid), str(grace))


def probe_command(*, wrapper_shell: str, nonce: str, directories: tuple[str, ...]) -> bytes:
    """The command line that looks at the container and makes the state directory.

    Args:
        wrapper_shell: As `Connection` has it.
        nonce: Random; hexadecimal. Part of the state directory's name.
        directories: Where that may be made, in order of preference.
    """
    return command_line(wrapper_shell, FIND + ENVIRONMENT + _PROBE, nonce, *directories)


def command_line(wrapper_shell: str, text: str, *words: str) -> bytes:
    """The command line for a shell text with its arguments, for every login shell."""
    quoted = " ".join(_quote(word) for word in (text, "fargate", *words))
    return f"exec {wrapper_shell} -c {quoted}".encode()


def _quote(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
