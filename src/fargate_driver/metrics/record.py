"""What prepare, cleanup, sweeps and reap add to the metrics.

Each returns why the textfile could not be updated, as one line, and "" where it was: no job depends
on it, and who calls knows where to tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.ecs.client import CALLS
from fargate_driver.gitlab.stages import is_known
from fargate_driver.metrics import families, outcome, textfile
from fargate_driver.metrics.events import Events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.metrics.results import Results

_KILLED = "killed"
"""Why a start failed of which nobody has said it."""


def started(text_file: Path, directory: str, phases: Mapping[str, float]) -> str:
    """Count a start that went well.

    Args:
        text_file: `[Metrics] TextFile`.
        directory: `[TaskMetadata] Directory`.
        phases: seconds by the phase's name.
    """
    events = Events()
    events.count(families.STARTS, "started", "")
    for phase, seconds in phases.items():
        events.observe(families.PHASE, seconds, phase.lower().replace(" ", "_"))
    return _save(text_file, events, directory)


def not_started(text_file: Path, directory: str, error: BaseException, *, canceled: bool) -> str:
    """Count a start that failed.

    Args:
        text_file: `[Metrics] TextFile`.
        directory: `[TaskMetadata] Directory`.
        error: why.
        canceled: whether gitlab-runner ended it.
    """
    events = Events()
    verdict = "" if canceled else _verdict(error)
    events.count(families.STARTS, "canceled" if canceled else "failed", verdict)
    return _save(text_file, events, directory)


def over(
    results: Results, directory: str, status: str, *, reaped: bool = False, orphan: bool = False
) -> str:
    """Count a job that is over, or a start that was killed.

    Args:
        results: what its stages left.
        directory: `[TaskMetadata] Directory`.
        status: CI_JOB_STATUS, "" where unknown.
        reaped: whether nobody cleaned up.
        orphan: whether it had a task that was ended only now.
    """
    events = Events()
    if not results.settled and not results.started:
        events.count(families.STARTS, "failed", _KILLED)
    elif not results.settled:
        how = "reaped" if reaped else outcome.of([(s, r) for s, _, r in results.stages], status)
        events.count(families.JOBS, how, results.verdict)
    if orphan:
        events.count(families.REAPED)
    for stage, seconds, _ in results.stages:
        events.observe(families.STAGE, seconds, stage if is_known(stage) else "step")
    for operation, answer, n in results.calls:
        events.count(families.AWS_CALLS, operation, answer, by=n)
    return _save(Path(results.text_file), events, directory)


def reap(text_file: Path, directory: str, *, orphans: int) -> str:
    """Count what a call of reap did beside ending jobs that have a record.

    Args:
        text_file: `[Metrics] TextFile`.
        directory: `[TaskMetadata] Directory`.
        orphans: tasks without a record that it stopped.
    """
    events = Events()
    events.count(families.REAPED, by=orphans)
    return _save(text_file, events, directory)


def _verdict(error: BaseException) -> str:
    """Why a start failed: the diagnosis's name, else the kind of error."""
    for found in (error, error.__cause__):
        verdict = getattr(found, "verdict", None)
        if verdict:
            return str(verdict.name)
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def _save(text_file: Path, events: Events, directory: str) -> str:
    for (operation, answer), n in CALLS.items():
        events.count(families.AWS_CALLS, operation, answer, by=n)
    CALLS.clear()
    return textfile.save(text_file, events, directory)
