"""The textfile: counted under a lock, so that no process loses what another one added.

Beside it lie `NAME.state`, all that was ever counted, and `NAME.lock`, which whoever changes them
holds (flock, so a crash frees it). Each is replaced as a whole: a crash between the two leaves the
textfile one step behind, until the next change. node_exporter reads `*.prom` alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import jobs
from fargate_driver.errors import DriverError
from fargate_driver.metrics.state import State, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.metrics.events import Events

_PATIENCE = 30.0
"""Seconds to wait for other processes. Each holds the lock for milliseconds; one that is stopped by
a debugger must not stop all jobs."""


def save(path: Path, events: Events, directory: str) -> str:
    """Add to what is counted, and write the textfile anew.

    Args:
        path: `[Metrics] TextFile`.
        events: what to add.
        directory: `[TaskMetadata] Directory`, whose records tell which tasks are alive.

    Returns:
        What went wrong, as one line; "" where all went well.
    """
    # Its import takes longer than all else, and nobody shall wait for it.
    from fargate_driver.metrics.render import render

    try:
        with _locked(path.with_name(f"{path.name}.lock")):
            kept = path.with_name(f"{path.name}.state")
            state, problem = _load(kept)
            state.add(events)
            state.alive[directory] = _alive(directory)
            _replace(kept, state.dump().encode())
            _replace(path, render(state))
    except (OSError, DriverError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        return f"[Metrics] TextFile {path}: can't be updated: {reason}"
    return problem


def _alive(directory: str) -> int:
    return sum(Path(job, jobs.RECORD).exists() for job in jobs.all_directories(directory))


def _load(path: Path) -> tuple[State, str]:
    try:
        return parse(path.read_text(encoding="utf-8")), ""
    except FileNotFoundError:
        return State(), ""
    except ValueError as e:
        # As after a restart of any process with counters: Prometheus' rate() takes it well.
        return State(), f"{path}: {e}; counting anew"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + _PATIENCE
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:  # noqa: PTH123 - by descriptor, for its mode
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is locked for {_PATIENCE:.0f} s") from None
            time.sleep(0.005)
        yield


def _replace(path: Path, content: bytes) -> None:
    # The lock makes this name ours. node_exporter is another user, hence the mode.
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.chmod(0o644)
    new.replace(path)
