"""A job's log on stdout, much as GitLab shows it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

_STYLES = {"ERROR": "bold red", "WARNING": "yellow", "Job succeeded": "bold green"}


class ConsoleLog:
    """Shows a job's log: headings coloured on a terminal, what the job prints byte for byte.

    Args:
        on_broken: Called once where nobody reads stdout any longer.
    """

    def __init__(self, on_broken: Callable[[], None]) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._on_broken = on_broken
        self._broken = False
        self._line_open = False

    def section(self, title: str) -> None:
        """Show a stage's heading."""
        self._say(title, "bold cyan")

    def message(self, text: str) -> None:
        """Show what the runner itself has to say."""
        styles = [style for start, style in _STYLES.items() if text.startswith(start)]
        self._say(text, styles[0] if styles else "")

    def output(self, data: bytes) -> None:
        """Show what the job prints."""
        self._line_open = not data.endswith(b"\n")
        self._write(data)

    def cleanup_error(self, data: bytes) -> None:
        """Show what cleanup has to say, on stderr: it belongs to no job's log."""
        os.write(2, data)

    def line(self, text: str) -> None:
        """Write one line as it is, on a line of its own."""
        self._write(("\n" if self._line_open else "").encode() + text.encode() + b"\n")
        self._line_open = False

    def _say(self, text: str, style: str) -> None:
        with self._console.capture() as capture:
            self._console.print(Text(text, style=style), end="")
        self.line(capture.get())

    def _write(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self._broken = True
            # What is still in the buffer would fail again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._on_broken()
