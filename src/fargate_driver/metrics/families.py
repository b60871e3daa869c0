"""What is measured: every metric's name, labels and help, in one place.

Names and units follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from typing import NamedTuple

STARTS = "fargate_starts_total"
JOBS = "fargate_jobs_total"
PHASE = "fargate_phase_seconds"
STAGE = "fargate_stage_seconds"
AWS_CALLS = "fargate_aws_calls_total"
REAPED = "fargate_orphans_reaped_total"
ALIVE = "fargate_tasks_alive"


class Family(NamedTuple):
    """One metric. With buckets it is a histogram, without a counter."""

    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    """Upper bounds in seconds, without infinity."""


_START_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_STAGE_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)

FAMILIES = {
    STARTS: Family(
        "Tries of prepare, which gitlab-runner repeats up to three times for a job. result:"
        " started, failed or canceled; verdict: why it failed (docs/troubleshooting.md).",
        ("result", "verdict"),
    ),
    JOBS: Family(
        "Jobs that had a task and are over. outcome, as gitlab-runner saw it: success,"
        " script_failure, system_failure or canceled (timed out too); reaped where nobody cleaned"
        " up. verdict: why the task ended before its job.",
        ("outcome", "verdict"),
    ),
    PHASE: Family(
        "Phases of a start that went well. phase: launch (RunTask, with the wait for its turn),"
        " network, image_pull and start by ECS's own timestamps, ssh.",
        ("phase",),
        _START_BUCKETS,
    ),
    STAGE: Family(
        "gitlab-runner's sub-stages of run, as it names them; step for steps of other names.",
        ("stage",),
        _STAGE_BUCKETS,
    ),
    AWS_CALLS: Family(
        "Attempts of AWS API calls. outcome: ok, or AWS's error code, or no_answer.",
        ("operation", "outcome"),
    ),
    REAPED: Family("Tasks that were ended because nobody cleaned up.", ()),
}
ALIVE_HELP = "Jobs of this host that have a task now, as of the last change."
