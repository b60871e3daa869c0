"""The end marker that a stage's wrapper writes after the script's output, and its removal."""

from __future__ import annotations


class EndMarker:
    r"""Splits one output stream into the script's bytes and the verdict after them.

    The marker is `\0fargate-end:NONCE:CODE\n`, CODE being three digits. Nothing is held back but
    a tail that may be its beginning, so memory stays bounded and single bytes pass at once.

    Args:
        nonce: Random text without a NUL, known to the wrapper and to nobody before.
    """

    def __init__(self, nonce: str) -> None:
        self._start = b"\0fargate-end:" + nonce.encode() + b":"
        self._held = b""
        self.code: int | None = None
        """The script's exit code, once the marker has been seen."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the stream; returns those to pass on."""
        if self.code is not None:
            return b""
        if not self._held and b"\0" not in data:
            return data
        data = self._held + data
        self._held = b""
        at = data.find(self._start)
        while at >= 0:
            code = data[at + len(self._start) :][:4]
            if len(code) == 4 and code[:3].isdigit() and code.endswith(b"\n"):
                self.code = int(code)
                return data[:at]
            if len(code) < 4 and (not code or code.isdigit()):
                return self._hold(data, at)
            at = data.find(self._start, at + 1)
        # The beginning has one NUL, so only the last one can begin it.
        at = data.rfind(b"\0")
        if at >= 0 and self._start.startswith(data[at:]):
            return self._hold(data, at)
        return data

    def _hold(self, data: bytes, at: int) -> bytes:
        self._held = data[at:]
        return data[:at]

    def rest(self) -> bytes:
        """What is held back, when the stream ended without a marker."""
        held, self._held = self._held, b""
        return held
