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
_UNIFIED = "unified"
_TRIES = 10
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
            if not _made(cgroup, kind):
                continue
            made.append(cgroup)
            _enable(cgroup, kind)
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


def _made(cgroup: Path, kind: str) -> bool:
    """Make a task's cgroup and its parent; return False where the machine allows none.

    The last task of a killed embedded Fargate takes an empty parent along, at any moment.
    """
    for _ in range(_TRIES):
        try:
            cgroup.parent.mkdir(exist_ok=True)
            _enable(cgroup.parent, kind)
        except FileNotFoundError:  # taken along; or a controller that isn't there
            continue
        except OSError:  # read-only, or not delegated to this container
            return False
        with contextlib.suppress(FileNotFoundError):
            cgroup.mkdir()
            return True
    return False


def _enable(cgroup: Path, kind: str) -> None:
    """Let the cgroups below one have limits, which version 1 always does."""
    if kind == _UNIFIED:
        (cgroup / "cgroup.subtree_control").write_text("+cpu +memory")


def _parents() -> dict[str, Path]:
    """Return the directories that tasks' cgroups go into, by controller; not all can be made."""
    if (_ROOT / "cgroup.controllers").exists():
        return {_UNIFIED: _ROOT / _NAME}
    parents = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        for controller in {"cpu", "memory"} & set(controllers.split(",")):
            # Below this process's own, so that its limits hold for the tasks too.
            parents[controller] = _ROOT / controllers / own.lstrip("/") / _NAME
    return parents
