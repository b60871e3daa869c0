"""Tables for people, and for the programs that they are piped to."""

from __future__ import annotations

import re
import sys
from typing import IO, Any, cast

from rich.console import Console


def console() -> Console:
    """What commands print tables to: lines that leave for no terminal end without spaces."""
    piped = sys.stdout is not None and not sys.stdout.isatty()
    return Console(highlight=False, file=cast("IO[str]", _Trimmed(sys.stdout)) if piped else None)


class _Trimmed:
    """A stream that is written to in whole lines, as rich does."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write lines without the spaces at their ends."""
        return self._stream.write(re.sub(r"[ ]+(?=\n)", "", text))
