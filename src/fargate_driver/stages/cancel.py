"""SIGTERM in the stages that start and stop tasks."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Cancelled(BaseException):
    """gitlab-runner ends this call: the job was cancelled or timed out, or the runner stops."""


_requested: list[int] = []


def raise_on_sigterm() -> None:
    """Let SIGTERM and SIGINT raise Cancelled, once: what is done about it isn't interrupted."""

    def handler(number: int, _frame: FrameType | None) -> None:
        _requested.append(number)
        ignore_sigterm()
        raise Cancelled

    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def check() -> None:
    """Raise Cancelled again where Python swallowed it, as it does in a finalizer."""
    if _requested:
        raise Cancelled


def ignore_sigterm() -> None:
    """Finish what was begun; gitlab-runner's SIGKILL is the limit."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
