"""Limits for a task's processor time and memory, by cgroups of version 1 or 2."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_NAME = "fargate-local"
_PERIOD = 100_000  # microseconds, the kernel's default


class Cgroups:
    """Makes the cgroups of tasks, in a place that the machine's other managers leave alone."""

    def remove_stale(self) -> None:
        """Remove what an embedded Fargate left that did not end by itself."""
        for parent in _parents().values():
            for cgroup in parent.glob("*-*"):
                owner = cgroup.name.partition("-")[0]
                if not Path("/proc", owner).exists():
                    with contextlib.suppress(OSError):  # its processes are just ending
                        cgroup.rmdir()

    def make(self, task_id: str, cpu: int, memory: int) -> list[str]:
        """Make cgroups with limits, as many as the machine allows; possibly none.

        Args:
            task_id: the task's.
            cpu: CPU units, 1024 for one processor.
            memory: in MiB.
        """
        quota = cpu * _PERIOD // 1024
        limit = memory << 20
        settings = {
            "cpu": ("cpu.cfs_quota_us", f"{quota}"),
            "memory": ("memory.limit_in_bytes", f"{limit}"),
        }
        unified = {"cpu.max": f"{quota} {_PERIOD}", "memory.max": f"{limit}"}
        made = []
        for kind, parent in _parents().items():
            cgroup = parent / f"{os.getpid()}-{task_id}"
            values = unified.items() if kind == "unified" else [settings[kind]]
            cgroup.mkdir()
            made.append(str(cgroup))
            for file, value in values:
                (cgroup / file).write_text(value)
        return made


def _parents() -> dict[str, Path]:
    """Make and return the directories that tasks' cgroups go into, by controller."""
    if (_ROOT / "cgroup.controllers").exists():
        parents = {"unified": _ROOT / _NAME}
    else:
        parents = {}
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            for controller in {"cpu", "memory"} & set(controllers.split(",")):
                # Below this process's own, so that its limits hold for the tasks too.
                parents[controller] = _ROOT / controllers / own.lstrip("/") / _NAME
    usable = {}
    for kind, parent in parents.items():
        # Read-only, or not delegated to this container: then there are no limits.
        with contextlib.suppress(OSError):
            parent.mkdir(exist_ok=True)
            if kind == "unified":
                (parent / "cgroup.subtree_control").write_text("+cpu +memory")
            usable[kind] = parent
    return usable
