"""The shell texts that run in the job container, and the command lines that carry them.

They are POSIX sh and need /proc, `head`, `rm`, `mkdir`, `mkfifo`, `tee`, `tr`, `sed`, `cat` and
`sleep` as busybox has them; what ends a stage is in kill.py, and what goes on after a lost
connection in follow.py. They hold neither
a single quote nor two backslashes in a row: between single quotes every login shell then passes
them on unchanged (fish treats those two specially).
"""

from __future__ import annotations

STAGE_VARIABLE = "FARGATE_STAGE_ID"
"""In the environment of all that a stage starts, so that cancelling finds what got away."""

# Before each text: what the login exports changes no `read` (bash gives up after TMOUT seconds) and
# sets no options (SHELLOPTS; with `monitor` setsid would fork, and end with 0 before the script).
_OWN_WAYS = "unset TMOUT; set +aCefmuvx; "

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

# $1 state directory, $2 the script's size in bytes, $3 the container's first process, $4 the
# script's file, $5 the stage, then the interpreter's words up to that file. Standard input: a line
# with the nonce of the end mark, then the script, then the word that all has arrived.
#
# The nonce is in a variable of this shell alone, since all that runs here can read command lines
# and environments: hence no variable of that name that the container exports (and no allexport).
# The container's TMOUT is for the script's `read`, not for those here.
#
# Order matters. The script is read whole and counted (by the file position, which costs no
# process) before anything of it runs. Its output goes through two relays, `tee`, which keep a log
# of each stream: what was on its way when a connection is lost can be had from there, and once
# sshd's pipes are broken they go on with the logs alone. The end mark follows the script's output
# through the relays, so the logs are the record of the verdict as well. A relay drops its log at a
# size limit; a cancel spares it.
#
# A guard waits for the end of the wrapper, who alone holds the other end of its pipe, and then ends
# the relays: else whatever holds the script's output would keep the client waiting for an end mark.
# A cancel may end it. The pipe has its writer before the guard begins: one that opens it after the
# wrapper's end would wait for ever.
#
# After the script the wrapper lets go of the pipes' writing ends: relays end when all that the
# script left behind has let go of them too (`exec > >(tee log)` has a last line to pass on), and
# the end mark then goes to log and client directly. What still holds a pipe after 2 s is a
# background process: then the mark goes through the relay, behind what is on its way. A relay that
# sleeps once there is a writer again has not seen the pipe's end and never will: it takes the mark.
#
# Then the wrapper waits for the client's word that all has arrived, and holds the pipes' reading
# ends: when the relays end, a background process that still writes is not ended by
# SIGPIPE, and what it writes is drained. No word means that the connection was lost: then the
# relays and logs stay. A cancel leaves a file before it looks for the stage's processes (kill.py):
# a script that has not begun by then never does. setsid gives the script a process group of its
# own, so that its `kill -9 0` ends everything but the one who reports. (setsid forks in a group's
# leader only, which the subshell is not.) Where there is no setsid the traps do that for milder
# signals; they are handlers, not SIG_IGN, so that the script does not inherit them.
_STAGE = r"""
fargate_relay() {
  trap "" HUP INT QUIT PIPE TERM USR1 USR2 XFSZ
  ulimit -f LOG_BLOCKS
  export FARGATE_STAGE_ID=relay
  exec tee "$1" 2>/dev/null
}
fargate_state() {
  fargate_x=
  read -r fargate_x <"/proc/$1/stat"
  fargate_x=${fargate_x##*") "}
  fargate_x=${fargate_x%% *}
}
fargate_ended() {
  fargate_state "$1"
  case $fargate_x in "" | Z | X) return 0 ;; esac
  return 1
}
fargate_pause() { sleep 0.05 || { sleep 1; fargate_looks=$((fargate_looks + 20)); }; }
fargate_mark() {
  while fargate_state "$1"; [ "$fargate_x" = R ] || [ "$fargate_x" = D ]; do fargate_pause; done
  if fargate_ended "$1"; then
    wait "$1"
    [ $? -le 128 ] || return 1
    printf "\0fargate-end:%s:%03d\n" "$fargate_nonce" "$fargate_n" >>"$2"
    printf "\0fargate-end:%s:%03d\n" "$fargate_nonce" "$fargate_n" >&"$3"
    return 0
  fi
  fargate_holders="$fargate_holders $1"
  printf "\0fargate-end:%s:%03d\n" "$fargate_nonce" "$fargate_n" >&"$4"
}
{ [ -O "$1" ] && [ -d "$1" ] && ! [ -L "$1" ]; } || mkdir -m 700 "$1" || exit 91
[ -f "$1/environment" ] || fargate_make_environment "$1" "$3"
. "$1/environment"
[ "$3" -gt 0 ] && read -r fargate_x <"/proc/$3/comm" && [ "$fargate_x" = ending ] && {
  echo "fargate: the task is being stopped: no other stage begins in it" >&2
  exit 92
}
umask 077
fargate_timeout=${TMOUT-}
unset TMOUT fargate_nonce
read -r fargate_nonce
exec 3>"$4"
head -c "$2" >&3
read -r fargate_x fargate_n <"/proc/$$/fdinfo/3"
exec 3>&-
[ "$fargate_n" = "$2" ] || {
  rm -f "$4"
  echo "fargate: $fargate_n of the $2 bytes of the script arrived: it was not run" >&2
  exit 93
}
mkfifo "$4.out" "$4.err" "$4.up" || {
  rm -f "$4" "$4.out" "$4.err" "$4.up"
  echo "fargate: no pipes can be made in $1: the script was not run" >&2
  exit 94
}
unset SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_ORIGINAL_COMMAND
fargate_script=$4 fargate_stage=$5
shift 5
fargate_find "$1" && {
  fargate_n=$fargate_x
  shift
  set -- "$fargate_n" "$@"
}
trap : HUP INT QUIT TERM USR1 USR2
exec 3>&2 2>/dev/null
printf "\0fargate-begin:%s\n" "$fargate_stage"
printf "\0fargate-begin:%s\n" "$fargate_stage" >&3
exec 8>&1 9>&3
fargate_relay "$fargate_script.1" <"$fargate_script.out" 3>&- 8>&- 9>&- &
fargate_out=$!
fargate_relay "$fargate_script.2" <"$fargate_script.err" >&3 3>&- 8>&- 9>&- &
fargate_err=$!
exec 5<>"$fargate_script.up"
{
  exec 6<"$fargate_script.up" 5>&- 8>&- 9>&-
  read -r fargate_x <&6
  sleep 1
  kill -KILL $fargate_out $fargate_err
} >/dev/null 3>&- &
fargate_guard=$!
exec >"$fargate_script.out" 3>"$fargate_script.err"
umask "$fargate_umask"
export FARGATE_STAGE_ID="$fargate_stage"
command -v setsid >/dev/null && set -- setsid "$@"
fargate_cancelled=${fargate_script%.ps1}.cancelled
(
  [ -e "$fargate_cancelled" ] && exit 143
  [ "$fargate_timeout" ] && export TMOUT="$fargate_timeout"
  exec "$@" "$fargate_script" </dev/null 2>&3 3>&- 5>&- 8>&- 9>&-
)
fargate_n=$?
trap "" PIPE
exec 4<"/proc/$$/fd/3" 3<"/proc/$$/fd/1" >/dev/null
fargate_looks=0 fargate_holders=
until fargate_ended $fargate_out && fargate_ended $fargate_err || [ $fargate_looks -ge 100 ]; do
  fargate_looks=$((fargate_looks + 1))
  [ $fargate_looks -le 60 ] || fargate_pause
done
exec 6>"/proc/$$/fd/3" 7>"/proc/$$/fd/4"
fargate_mark $fargate_out "$fargate_script.1" 8 6 &&
  fargate_mark $fargate_err "$fargate_script.2" 9 7
fargate_x=$?
kill -KILL $fargate_guard
exec 5>&- 6>&- 7>&- 8>&- 9>&-
[ $fargate_x -eq 0 ] || {
  rm -f "$fargate_script" "$fargate_script".*
  exit 97
}
fargate_logs=
read -r fargate_x && {
  kill -KILL $fargate_holders
  fargate_logs="$fargate_script.1 $fargate_script.2"
}
set -- "$fargate_script.out" "$fargate_script.err" "$fargate_script.up" "$fargate_cancelled"
rm -f "$fargate_script" "$@" $fargate_logs
[ "$fargate_holders" ] || exit 0
wait
{ read -r fargate_x && exec cat; } <&3 3<&- 4<&- &
{ read -r fargate_x && exec cat; } <&4 3<&- 4<&- &
""".replace("LOG_BLOCKS", str(LONGEST_LOG * 2048))  # of 512 bytes

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
    size: int,
    shell: str,
    init_pid: int,
    state_directory: str,
) -> bytes:
    """The command line that runs a script of `size` bytes.

    Standard input has a line with the nonce of the end mark, and then the script.

    Args:
        wrapper_shell: As `Connection` has it.
        stage: Names the stage's processes, and is in the begin mark; hexadecimal.
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
    # wrapper.py finds the wrapper by this first line.
    text = f": fargate-stage {stage}\n{FIND}{ENVIRONMENT}{_STAGE}"
    words = (state_directory, str(size), str(init_pid), script, stage)
    return command_line(wrapper_shell, text, *words, *interpreter)


def script_file(*, stage: str, shell: str, state_directory: str) -> str:
    """Where a stage's script is in the container while it runs, beside its pipes and logs."""
    return f"{state_directory}/{stage}" + (".ps1" if shell == "pwsh" else "")


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
    quoted = " ".join(_quote(word) for word in (_OWN_WAYS + text, "fargate", *words))
    return f"exec {wrapper_shell} -c {quoted}".encode()


def _quote(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
