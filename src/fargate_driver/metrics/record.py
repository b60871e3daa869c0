"""What prepare, cleanup and sweeps add to the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.ecs.client import CALLS
from fargate_driver.gitlab.stages import is_known
from fargate_driver.metrics import families, textfile
from fargate_driver.metrics.events import Events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.metrics.results import Results

_OUTCOMES = {"success": "success", "failed": "script_failure", "canceled": "canceled"}
"""By GitLab's CI_JOB_STATUS, as cleanup finds it
(https://docs.gitlab.com/ci/variables/predefined_variables/)."""


def started(text_file: Path, directory: str, phases: Mapping[str, float]) -> None:
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
    _save(text_file, events, directory)


def not_started(text_file: Path, directory: str, error: BaseException, *, canceled: bool) -> None:
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
    _save(text_file, events, directory)


def over(results: Results, directory: str, status: str, *, reaped: bool = False) -> None:
    """Count a job that is over.

    Args:
        results: what its stages left.
        directory: `[TaskMetadata] Directory`.
        status: CI_JOB_STATUS, "" where unknown.
        reaped: whether nobody cleaned up.
    """
    events = Events()
    outcome = _OUTCOMES.get(status, "system_failure")
    if outcome == "script_failure" and not _script_failed(results):
        outcome = "system_failure"
    events.count(families.JOBS, "reaped" if reaped else outcome, results.verdict)
    if reaped:
        events.count(families.REAPED)
    for stage, seconds, _ in results.stages:
        events.observe(families.STAGE, seconds, stage if is_known(stage) else "step")
    _save(Path(results.text_file), events, directory)


def _script_failed(results: Results) -> bool:
    return not results.lost and any(
        result not in ("0", "canceled") for _, _, result in results.stages
    )


def _verdict(error: BaseException) -> str:
    """Why a start failed: the diagnosis's name, else the kind of error."""
    for found in (error, error.__cause__):
        verdict = getattr(found, "verdict", None)
        if verdict:
            return str(verdict.name)
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def _save(text_file: Path, events: Events, directory: str) -> None:
    for (operation, outcome), n in CALLS.items():
        events.count(families.AWS_CALLS, operation, outcome, by=n)
    CALLS.clear()
    textfile.save(text_file, events, directory)
