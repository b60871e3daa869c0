"""What a case of the fault matrix is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Rule = dict[str, Any]
Strikes = Literal["launch", "wait", "connect", "stage", "between", "cleanup"]
"""In prepare: at RunTask, until RUNNING, or until the connection stands; then in a running stage,
between two stages, or before cleanup."""
Result = Literal["success", "script_failure", "system_failure"]
Act = Literal["stop the task", "kill ssh"]
"""What others do: call StopTask, or end the job's OpenSSH master."""

AIM = -1.0
"""Stands for the seconds after RUNNING at which a task's rule strikes the phase of its case."""
FOREVER = 100_000

BRIEF = "echo ran"
LONG = "echo begun; exec sleep 100"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault in one phase, and all that is to come of it.

    Args:
        name: for the test's id.
        strikes: the phase.
        rules: in force from the start; their seconds are scaled.
        result: what gitlab-runner makes of the job.
        tasks: how many were started: a number, or the fewest and the most.
        source: where the expectation comes from, by hand: a URL, or the facts that AWS or GitLab
            documents there.
        says: phrases that one line of the log holds, in order.
        verdict: the name in brackets on that line; None where the table has no say.
        script_code: what `allow_failure:exit_codes` sees of a script's failure.
        cleanup: the exit code of cleanup.
        later: rules that replace the first ones once prepare is through.
        acts: what others do when the phase is reached.
        script: of the stage that is struck, or runs afterwards.
        variables: of the job.
        settings: more lines for [Fargate].
        capacity: more tables for fargate.toml.
        start_timeout: seconds.
    """

    name: str
    strikes: Strikes
    result: Result
    source: str
    rules: tuple[Rule, ...] = ()
    tasks: int | tuple[int, int] = 1
    says: tuple[str, ...] = ()
    verdict: str | None = None
    script_code: int | None = None
    cleanup: int = 0
    later: tuple[Rule, ...] = ()
    acts: tuple[Act, ...] = ()
    script: str = BRIEF
    variables: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    capacity: str = ""
    start_timeout: float = 30

    @property
    def aimed(self) -> bool:
        """Whether a rule has to wait for its phase."""
        return any(AIM in rule.get("task", {}).values() for rule in self.rules)

    def aim(self, seconds: float) -> tuple[Rule, ...]:
        """The rules, with their seconds after RUNNING."""
        return tuple(
            rule | {"task": {k: seconds if v == AIM else v for k, v in rule["task"].items()}}
            if "task" in rule
            else rule
            for rule in self.rules
        )


def error(operation: str, code: str, message: str, **more: Any) -> Rule:
    """AWS answers with an error."""
    return {"operation": operation, "error": code, "message": message, **more}


def throttled(operation: str, times: int) -> Rule:
    """AWS throttles calls."""
    return error(operation, "ThrottlingException", "Rate exceeded", times=times)


def lacks(reason: str, **more: Any) -> Rule:
    """RunTask answers HTTP 200 with failures."""
    return {"operation": "RunTask", "failure": {"reason": reason}, **more}


def stops(status: str, reason: str, *, code: str = "TaskFailedToStart", **more: Any) -> Rule:
    """A task stops in a status, by a reason that its container has too where it isn't running."""
    faults = {"stop_at": status, "stop_code": code, "stopped_reason": reason}
    if status in {"PENDING", "ACTIVATING"}:
        faults["container_reason"] = reason
    return {"task": faults, **more}


def task(**faults: Any) -> Rule:
    """A task goes wrong."""
    return {"task": faults}
