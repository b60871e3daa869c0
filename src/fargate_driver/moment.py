"""Moments that a clock which is set anew doesn't move.

The time of day may jump; the seconds since the machine was started, which count on while it sleeps,
never do, but say nothing after the next start. A moment is kept by both.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple


class Moment(NamedTuple):
    """When something was, by both clocks."""

    epoch: float
    """Seconds since 1970, as the machine's clock had it."""
    boot: str
    """The kernel's boot id."""
    uptime: float
    """Seconds since that boot (CLOCK_BOOTTIME, clock_gettime(2))."""

    def age(self) -> float:
        """Seconds that have passed since: exact within the same boot, else by the time of day.

        Negative where the time of day was set back.
        """
        if self.boot and self.boot == boot_id():
            return time.clock_gettime(time.CLOCK_BOOTTIME) - self.uptime
        return time.time() - self.epoch


def now() -> Moment:
    """This moment."""
    return Moment(time.time(), boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME))


def boot_id() -> str:
    """The running kernel's boot id (random(4)); "" where /proc doesn't tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii", "replace").strip()
    except OSError:
        return ""
