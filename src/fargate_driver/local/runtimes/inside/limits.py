"""What became of a task's cgroups."""

from __future__ import annotations

import contextlib
import errno
import time
from pathlib import Path

_PATIENCE = 5.0
"""Seconds for visitors, who are in a container's cgroup and end a moment after it."""


def ran_out_of_memory(cgroups: list[str]) -> bool:
    """Return whether the kernel killed a process in one of the cgroups for want of memory."""
    for cgroup in cgroups:
        for file in ("memory.events", "memory.oom_control"):  # version 2, version 1
            with contextlib.suppress(FileNotFoundError):
                text = (Path(cgroup) / file).read_text()
                if any(
                    line.startswith("oom_kill ") and line[9:] != "0" for line in text.splitlines()
                ):
                    return True
    return False


def remove(cgroups: list[str], *, with_those_above: bool) -> None:
    """Remove cgroups whose processes have ended.

    Args:
        cgroups: a container's.
        with_those_above: also its task's, and the one of all tasks, where they are empty then.

    Raises:
        OSError: a process goes on in one of them.
    """
    deadline = time.monotonic() + _PATIENCE
    for cgroup in map(Path, cgroups):
        while not _removed(cgroup, at_last=time.monotonic() > deadline):
            time.sleep(0.01)
        with contextlib.suppress(OSError):
            for above in cgroup.parents[: 2 if with_those_above else 0]:
                above.rmdir()


def _removed(cgroup: Path, *, at_last: bool) -> bool:
    try:
        cgroup.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY or at_last:
            raise
        return False
    return True
