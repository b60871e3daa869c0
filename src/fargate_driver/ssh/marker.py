"""The marks that a stage's wrapper writes around the script's output, and their removal."""

from __future__ import annotations


class Output:
    r"""Takes one stream apart: the script's bytes, and the verdict after them.

    The wrapper writes `\0fargate-begin:STAGE\n` before the script's output and
    `\0fargate-end:NONCE:CODE\n`, CODE being three digits, after it. What comes before the first is
    not the script's: a login shell's greeting, or why the script was not run. Nothing is held back
    but a tail that may begin a mark, so memory stays bounded and single bytes pass at once.

    Args:
        stage: The stage's name.
        nonce: Random text without a NUL, known to the wrapper and to nobody before the end.
    """

    def __init__(self, stage: str, nonce: str) -> None:
        self._begin = b"\0fargate-begin:" + stage.encode() + b"\n"
        self._end = b"\0fargate-end:" + nonce.encode() + b":"
        self._begun = False
        self._resumed = False
        self._before = b""
        self._held = b""
        self.position = 0
        """How many bytes came after the first mark; they need not be sent again."""
        self.code: int | None = None
        """The script's exit code, once the end mark has been seen."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the stream; returns those to pass on."""
        if self._begun:
            return self._feed(data)
        data = self._before + data
        at = data.find(self._begin)
        if at >= 0:
            self._begun, self._before = True, b""
            after = self._feed(data[at + len(self._begin) :])
        else:
            at = _beginning(data, self._begin)
            self._before, after = data[at:], b""
        return after if self._resumed else data[:at] + after

    def _feed(self, data: bytes) -> bytes:
        self.position += len(data)
        if self.code is not None:
            return b""
        if not self._held and b"\0" not in data:
            return data
        data = self._held + data
        self._held = b""
        at = data.find(self._end)
        while at >= 0:
            code = data[at + len(self._end) :][:4]
            if len(code) == 4 and code[:3].isdigit() and code.endswith(b"\n"):
                self.code = int(code)
                return data[:at]
            if len(code) < 4 and (not code or code.isdigit()):
                break
            at = data.find(self._end, at + 1)
        else:
            at = _beginning(data, self._end)
        self._held = data[at:]
        return data[:at]

    def resume(self) -> None:
        """Expect the stream's continuation, from `position` on after another first mark."""
        self._begun, self._resumed, self._before = False, True, b""

    def rest(self) -> bytes:
        """What is held back, when the stream ended without a mark and is not resumed."""
        held = self._held or (b"" if self._resumed else self._before)
        self._held = self._before = b""
        return held


def _beginning(data: bytes, mark: bytes) -> int:
    """Where the data's tail begins a mark; the data's length where it does not."""
    # A mark has one NUL, so only the last one can begin it.
    at = data.rfind(b"\0")
    return at if at >= 0 and mark.startswith(data[at:]) else len(data)
