"""A terminal for tests: a tmux server of its own."""

from __future__ import annotations

import shlex
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_PROGRAM = 'trap : INT; "$@"; echo "the exit code is $?"; exec sleep 1000'


class Terminal:
    """One program in a terminal."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")

    def start(self, command: Sequence[str], width: int, height: int) -> None:
        # tmux's own word about exit codes is missing now and then.
        words = ("sh", "-c", _PROGRAM, "sh", *command)
        self._call(
            *("new-session", "-d", "-x", str(width), "-y", str(height), shlex.join(words)),
            *(";", "set-option", "-g", "status", "off"),
        )

    def send(self, *keys: str) -> None:
        """Press keys: a text, or names such as C-c and Enter."""
        self._call("send-keys", *keys)

    def type(self, line: str) -> None:
        self._call("send-keys", "-l", line)
        self.send("Enter")

    def resize(self, width: int, height: int) -> None:
        self._call("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *, colours: bool = False) -> str:
        return self._call("capture-pane", "-p", *(("-e",) if colours else ()))

    def wait_for(self, text: str, seconds: float = 30) -> str:
        """Wait until the screen shows a text."""
        deadline = time.monotonic() + seconds
        while text not in (screen := self.screen()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} never came:\n{screen}")
            time.sleep(0.1)
        return screen

    def wait(self) -> int:
        """Wait until the program ends; its exit code."""
        screen = self.wait_for("the exit code is ")
        return int(screen.rpartition("the exit code is ")[2].split()[0])

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def terminal(
    directory: Path, command: Sequence[str], *, width: int = 80, height: int = 24
) -> Iterator[Terminal]:
    """Run a program in a terminal; both are gone afterwards."""
    number = len(list(directory.glob("tmux-*")))
    socket = directory / f"tmux-{number}"
    shown = Terminal(socket)
    shown.start(command, width, height)
    try:
        yield shown
    finally:
        shown._call("kill-server")
