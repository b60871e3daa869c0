"""Passing on the order to end to a container's first process, which may only just have begun.

The kernel keeps signals that the first process of a PID namespace doesn't handle from it
(pid_namespaces(7)). A task that is stopped as soon as it runs would so take all of its stopTimeout;
on AWS there is always more time in between than a program needs to begin.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from pathlib import Path

_PAUSE = 0.01
_PATIENCE = 2.0
"""Seconds that a program has to begin. It can't always be seen that one waits for a signal:
sigtimedwait, which tini uses, takes it out of the blocked ones."""


class StopSignal:
    """Sends a signal to the first process when this process gets SIGTERM.

    Args:
        child: The first process.
        number: The signal.
        isolated: Whether it is the first of a PID namespace.
    """

    def __init__(self, child: int, number: int, *, isolated: bool) -> None:
        self._child = child
        self._number = number
        self._held_until = math.inf if isolated else 0.0
        for order in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(order, self._send)

    def begun(self) -> None:
        """Note that the program has been started."""
        self._held_until = min(self._held_until, time.monotonic() + _PATIENCE)

    def _send(self, *_: object) -> None:
        if time.monotonic() < self._held_until and not _heeds(self._child, self._number):
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, self._number)


def ignore() -> None:
    """Send nothing any more."""
    for order in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(order, signal.SIG_IGN)


def _heeds(pid: int, number: int) -> bool:
    """Whether a process is seen to handle a signal, or to wait for it; or is gone."""
    heeded = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("SigBlk:", "SigCgt:")):
                heeded |= int(line.split()[1], 16)
    except OSError:
        return True
    return bool(heeded >> (number - 1) & 1)
