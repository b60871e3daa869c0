"""Limits for processor time and memory, by cgroups of version 1 or 2."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROOT = Path("/sys/fs/cgroup")
_NAME = "fargate-local"
_PERIOD = 100_000  # microseconds, the kernel's default
_CPU = {"cpu.cfs_quota_us": "{}", "cpu.max": f"{{}} {_PERIOD}"}
_MEMORY = {"memory.limit_in_bytes": "{}", "memory.max": "{}"}


class Cgroups:
    """Makes the cgroups of tasks, in a place that the machine's other managers leave alone."""

    def remove_stale(self) -> None:
        """Remove what an embedded Fargate left that did not end by itself."""
        for parent in _parents().values():
            for cgroup in parent.glob("*-*"):
                owner = cgroup.name.partition("-")[0]
                if not Path("/proc", owner).exists():
                    remove(cgroup)

    def make(self, task_id: str, cpu: int, memory: int) -> list[Path]:
        """Make cgroups with limits, as many as the machine allows; possibly none.

        Args:
            task_id: the task's.
            cpu: CPU units, 1024 for one processor.
            memory: in MiB.
        """
        made = []
        for kind, parent in _parents().items():
            cgroup = parent / f"{os.getpid()}-{task_id}"
            # The last task of a killed embedded Fargate takes an empty parent along.
            cgroup.mkdir(parents=True)
            made.append(cgroup)
            if kind == "unified":
                (cgroup / "cgroup.subtree_control").write_text("+cpu +memory")
            _limit(cgroup, _CPU, cpu * _PERIOD // 1024)
            _limit(cgroup, _MEMORY, memory << 20)
        return made


def within(cgroups: Sequence[Path], name: str, memory: int | None) -> list[Path]:
    """Make the cgroups of a container.

    Args:
        cgroups: its task's.
        name: the container's.
        memory: its own limit in MiB.
    """
    made = []
    for parent in cgroups:
        cgroup = parent / name
        cgroup.mkdir()
        made.append(cgroup)
        if memory is not None:
            _limit(cgroup, _MEMORY, memory << 20)
    return made


def remove(cgroup: Path) -> None:
    """Remove a task's cgroup and those of its containers, as far as their processes have ended."""
    with contextlib.suppress(OSError):
        for container in cgroup.iterdir():
            if container.is_dir():
                container.rmdir()
        cgroup.rmdir()


def _limit(cgroup: Path, files: Mapping[str, str], value: int) -> None:
    """Set a limit by that of the files, one per version of cgroups, which there is."""
    for file, form in files.items():
        if (cgroup / file).exists():
            (cgroup / file).write_text(form.format(value))


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
