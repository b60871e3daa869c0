"""How text becomes a word, and a list of commands a script, in bash and in a POSIX shell."""

from __future__ import annotations

import re
import shlex
from typing import Literal

Shell = Literal["bash", "sh"]

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\'\x00-\x1f\x7f]")
_GREEN, _YELLOW, _RESET = "\x1b[32;1m", "\x1b[0;33m", "\x1b[0;m"


def quote(text: str, shell: Shell) -> str:
    """Write text as one word: bare where that is safe, else `$'…'` for bash and `'…'` for sh.

    POSIX has no `$'…'`: dash takes it for a dollar sign and a string.
    """
    if _PLAIN.fullmatch(text):
        return text
    if shell == "sh":
        return shlex.quote(text)
    return "$'" + _SPECIAL.sub(lambda m: _ESCAPES.get(m[0], f"\\x{ord(m[0]):02x}"), text) + "'"


def notice(text: str, shell: Shell) -> str:
    """The command that prints a green line."""
    return _print(f"{_GREEN}{text}{_RESET}", shell)


def warning(text: str, shell: Shell) -> str:
    """The command that prints a yellow line."""
    return _print(f"{_YELLOW}{text}{_RESET}", shell)


def _print(text: str, shell: Shell) -> str:
    # dash's echo interprets backslashes, which a shown command line may hold
    return ("echo " if shell == "bash" else "printf '%s\\n' ") + quote(text, shell)


def script(commands: list[str], shell: Shell) -> str:
    """The whole script file of one stage, in the shape that gitlab-runner gives it.

    A failing command ends it with that command's status, a SIGTERM with 1, and no command can
    read the script's own text from stdin.
    """
    body = "".join(f"{command}\n" for command in commands)
    return (
        f"#!/usr/bin/env {shell}\n\n"
        "trap 'exit 1' TERM\n\n"
        'case "$(set -o)" in *"pipefail"*) set -o pipefail;; esac; set -o errexit\n'
        "set +o noclobber\n"
        f"(trap 'exit 1' TERM; eval {quote(body, shell)}) < /dev/null\n"
        "exit 0\n"
    )
