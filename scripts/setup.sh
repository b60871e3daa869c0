# Sourced by scripts/try, scripts/test and scripts/bench: makes the fresh checkout usable.
# Not a command of its own: it sets `root` (the checkout) and leaves the shell's options alone.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What there has to be, as COMMAND=PACKAGE of Debian. A script names all that it needs in one call of `need`.
python_programs=(python3=python3)
[ -e "$root/.venv/bin/python" ] || python_programs+=(ensurepip=python3-venv)
job_tool_programs=(musl-gcc=musl-tools gcc=gcc make=make patch=patch bzip2=bzip2 readelf=binutils
  busybox=busybox-static)

# there COMMAND: whether it can be called.
there() {
  # Debian's python3 comes without what `venv` needs; there is no command to tell by.
  [ "$1" != ensurepip ] || { python3 -c 'import ensurepip' 2>/dev/null; return; }
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null
}

# need COMMAND=PACKAGE…: installs with apt-get as root, otherwise names the command to run and ends with 2.
need() {
  local pair missing=()
  for pair in "$@"; do
    there "${pair%%=*}" || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Install with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 2
  fi
  echo "installing ${missing[*]} …" >&2
  # openssh-server's package would start a server on port 22; only its program is wanted here.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    made=yes
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
  fi
  local log status=0
  log=$(mktemp)
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || status=$?
  if [ -n "$made" ]; then rm -f $policy; trap - EXIT; fi
  if [ $status -ne 0 ]; then
    cat "$log" >&2
    echo "apt-get could not install ${missing[*]}: mend what it says above and run this again" >&2
    rm -f "$log"
    exit 2
  fi
  rm -f "$log"
}

# python_environment run|dev: .venv at the root with the installed driver and what requirements/$1.txt pins.
# dev.txt holds all that run.txt does: an environment made from it serves both, and is kept as such.
python_environment() {
  local python=$root/.venv/bin/python state kind=$1
  [ ! -e "$root/.venv/ready-dev" ] || kind=dev
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "python3 is missing or older than 3.11: install Python 3.11 or newer" >&2
    exit 2
  fi
  # Settings of pytest, mypy and ruff, which come last, are no reason to begin anew.
  state=$(cd "$root" && { cat requirements/*.txt src/fargate_driver/__init__.py &&
    sed '/^\[tool\.pytest/,$d' pyproject.toml; } | sha256sum)
  [ "$(cat "$root/.venv/ready-$kind" 2>/dev/null)" = "$state" ] && return
  need ensurepip=python3-venv
  # What is there only gets more where it is as it should be, for scripts/try say.
  if [ "$(cat "$root/.venv/ready-run" 2>/dev/null)" != "$state" ]; then
    echo "making .venv (once, and when what it needs changes) …" >&2
    python3 -m venv --clear "$root/.venv" || exit 2
  fi
  echo "fetching the packages of requirements/$kind.txt …" >&2
  "$python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r "$root/requirements/$kind.txt" &&
    echo "installing the driver …" >&2 &&
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
      -e "$root" || {
    echo "pip could not install requirements/$kind.txt: mend what it says above and run this again" >&2
    exit 2
  }
  echo "$state" >"$root/.venv/ready-run"
  [ "$kind" = run ] || echo "$state" >"$root/.venv/ready-$kind"
}

# job_tools: builds what serves job containers, once per version of its sources; cached for the user.
job_tools() {
  echo "building the tools for jobs in images, in C, unless that was done …" >&2
  "$root/.venv/bin/python" - <<'END' || exit 2
import sys
from fargate_driver.helper import ToolsError, tools_directory
try:
    tools_directory()
except ToolsError as error:
    sys.exit(str(error))
END
}
