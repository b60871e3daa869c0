"""Whether gitlab-runner's process may have as many files and processes as its jobs need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "gitlab-runner"
_FILES = 10
_PROCESSES = 8
"""Of a job, at most: pipes, logs and connections of gitlab-runner; the driver's call, the masters
of ssh and what they are started by."""
_OWN_FILES = 100
_OWN_PROCESSES = 50
"""Of gitlab-runner itself."""


def look(concurrent: float) -> Iterator[Finding]:
    """Compare `concurrent` with the limits of the gitlab-runner that runs here.

    Args:
        concurrent: How many jobs the runner takes at once.
    """
    process = _process()
    if process is None:
        yield unchecked("runner-limits", "gitlab-runner doesn't run here: its limits can't be seen")
        return
    try:
        files = _files(process)
        processes = _processes(process)
    except OSError as error:
        yield unchecked("runner-limits", f"gitlab-runner's limits can't be seen: {error.strerror}")
        return
    yield judge(int(concurrent), files, processes)


def judge(concurrent: int, files: int | None, processes: int | None) -> Finding:
    """Compare what the jobs need with what may be had.

    Args:
        concurrent: How many jobs at once.
        files: How many files gitlab-runner may have open; None for any number.
        processes: How many processes its service may have; None for any number.
    """
    need_files = _OWN_FILES + _FILES * concurrent
    need_processes = _OWN_PROCESSES + _PROCESSES * concurrent
    jobs = f"concurrent = {concurrent}"
    if files is not None and files < need_files:
        mend = f"LimitNOFILE={need_files} in gitlab-runner's systemd unit, or a lower concurrent"
        return wrong("runner-limits", f"{jobs}, but only {files} open files", mend)
    if processes is not None and processes < need_processes:
        mend = f"TasksMax={need_processes} in gitlab-runner's systemd unit, or a lower concurrent"
        return wrong("runner-limits", f"{jobs}, but only {processes} processes", mend)
    return ok("runner-limits", f"{jobs}; {_told(files)} files, {_told(processes)} processes")


def _told(limit: int | None) -> str:
    return "any number of" if limit is None else str(limit)


def _process() -> Path | None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == _NAME:
                return process
        except OSError:
            continue  # it has ended
    return None


def _files(process: Path) -> int | None:
    """The hard limit, which Go programs raise theirs to (https://go.dev/doc/go1.19#os)."""
    limits = (process / "limits").read_text()
    match = re.search(r"^Max open files\s+\S+\s+(\d+)", limits, re.MULTILINE)
    return int(match[1]) if match else None


def _processes(process: Path) -> int | None:
    """The limit of its cgroup, of version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html)."""
    for line in (process / "cgroup").read_text().splitlines():
        if line.startswith("0::/"):
            limit = Path("/sys/fs/cgroup", line.removeprefix("0::/"), "pids.max")
            text = limit.read_text().strip() if limit.exists() else "max"
            return None if text == "max" else int(text)
    return None
