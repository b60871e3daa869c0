"""A job log that keeps what it is given."""

from __future__ import annotations

import asyncio


class KeptLog:
    """Keeps a job's log; `output` waits until a text has appeared in it."""

    def __init__(self) -> None:
        self.sections: list[str] = []
        self.messages: list[str] = []
        self.printed = bytearray()
        self.cleanup_errors = bytearray()
        self._changed = asyncio.Event()

    def section(self, title: str) -> None:
        self.sections.append(title)
        self._changed.set()

    def message(self, text: str) -> None:
        self.messages.append(text)
        self._changed.set()

    def output(self, data: bytes) -> None:
        self.printed += data
        self._changed.set()

    def cleanup_error(self, data: bytes) -> None:
        self.cleanup_errors += data

    @property
    def text(self) -> str:
        return self.printed.decode(errors="replace")

    async def shows(self, text: str, seconds: float = 60) -> None:
        """Wait until the job has printed a text."""
        async with asyncio.timeout(seconds):
            while text not in self.text:
                self._changed.clear()
                await self._changed.wait()
