"""How a supervisor talks to the embedded Fargate: a line on stdin, lines on stdout."""

from __future__ import annotations

import os


def read_line() -> str:
    """Return the line on stdin."""
    # Unbuffered: what follows is for poll().
    line = bytearray()
    while not line.endswith(b"\n"):
        line += os.read(0, 4096) or b"\n"
    return line.decode()


def say(text: str) -> None:
    """Write a line to stdout."""
    os.write(1, text.replace("\n", " ").encode() + b"\n")


def describe(error: OSError) -> str:
    """Return what is wrong, in one line."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return error.strerror or str(error)
