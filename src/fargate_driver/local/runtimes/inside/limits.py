"""What became of a task's cgroups."""

from __future__ import annotations

import contextlib
from pathlib import Path


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
    """
    for cgroup in map(Path, cgroups):
        cgroup.rmdir()
        with contextlib.suppress(OSError):
            for above in cgroup.parents[: 2 if with_those_above else 0]:
                above.rmdir()
