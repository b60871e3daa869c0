"""The rules by which the embedded Fargate misbehaves: their form, and which one applies.

All durations of a rule are seconds, multiplied by the time scale where they are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fargate_driver.local.model import enum_of, operation_names
from fargate_driver.local.query_operations import QUERY_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fargate_driver.local.container import Container

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Times = Annotated[int, Field(ge=1)]


class RuleError(ValueError):
    """A rule is malformed; the text names the rule and the key in one line."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def _needs(self, key: str, *one_of: str) -> None:
        """Refuse a key that says nothing without another one."""
        if key in self.model_fields_set and not self.model_fields_set.intersection(one_of):
            raise ValueError(f"{key} needs {' or '.join(one_of)} beside it")


class Failure(_Strict):
    """One of RunTask's `failures`."""

    reason: str
    detail: str = ""


class OperationRule(_Strict):
    """How calls of one operation are to go wrong."""

    operation: str
    error: str | None = None
    message: str = "injected by a fault rule"
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    failure: Failure | None = None
    reset: bool = False
    lose_answer: bool = False
    hang: Seconds = 0.0
    missing_for: Seconds | None = None
    times: Times | None = None
    capacity_provider: str | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> OperationRule:
        if self.operation not in operation_names() | QUERY_OPERATIONS.keys():
            raise ValueError(
                "operation is not one of ECS's, EC2's, STS's or CloudWatch Logs': "
                f"{self.operation[:60]!r}"
            )
        self._needs("message", "error")
        self._needs("status", "error")
        for key, only in (("failure", "RunTask"), ("missing_for", "DescribeTasks")):
            if key in self.model_fields_set and self.operation != only:
                raise ValueError(f"{key} is for {only} only")
        effects = [self.error, self.failure, self.reset or None, self.lose_answer or None]
        chosen = sum(effect is not None for effect in [*effects, self.missing_for])
        if chosen > 1:
            raise ValueError("error, failure, reset, lose_answer, missing_for: choose one of them")
        if not chosen and not self.hang:
            raise ValueError(
                "error, failure, reset, lose_answer, hang or missing_for: one of them is needed"
            )
        return self


class TaskFaults(_Strict):
    """How one task is to go wrong."""

    container: str | None = None
    """The name of the container that goes wrong; None: the first essential one."""
    start_delay: Seconds = 0.0
    eni_delay: Seconds = 0.0
    never_starts: bool = False
    stop_at: Literal["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"] | None = None
    stop_code: str = "TaskFailedToStart"
    stopped_reason: str = "Task failed to start"
    container_reason: str | None = None
    unhealthy: bool = False
    sshd_delay: Seconds = 0.0
    sshd_refuses_key: bool | Seconds = False
    sshd_other_host_key: bool = False
    interrupt_after: Seconds | None = None
    grace: Seconds | None = None
    container_exits_after: Seconds | None = None
    exit_code: Annotated[int, Field(ge=0, le=255)] = 1
    script_oom_after: Seconds | None = None
    blackhole_after: Seconds | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> TaskFaults:
        if self.stop_code not in enum_of("TaskStopCode"):
            raise ValueError(f"stop_code must be one of {', '.join(enum_of('TaskStopCode'))}")
        self._needs("stop_code", "stop_at")
        self._needs("stopped_reason", "stop_at")
        self._needs("container_reason", "stop_at", "container_exits_after")
        self._needs("grace", "interrupt_after")
        self._needs("exit_code", "container_exits_after")
        return self

    def strikes(self, container: Container) -> bool:
        """Return whether a container is the one that goes wrong, or the first of several."""
        if self.container is None:
            return container.essential
        return container.name == self.container

    @property
    def key_refused_for(self) -> float:
        """Seconds for which sshd refuses every key; infinite for `true`."""
        if isinstance(self.sshd_refuses_key, bool):
            return math.inf if self.sshd_refuses_key else 0.0
        return self.sshd_refuses_key


class TaskRule(_Strict):
    """The faults of the next tasks started."""

    task: TaskFaults
    times: Times | None = None
    capacity_provider: str | None = None


@dataclass
class _Active:
    rule: OperationRule | TaskRule
    left: float

    def fits(self, providers: Collection[str]) -> bool:
        wanted = self.rule.capacity_provider
        return self.left > 0 and (wanted is None or wanted in providers)


class Faults:
    """The rules in force, and how often each may still be used."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def replace(self, rules: Any) -> None:
        """Put other rules in force.

        Args:
            rules: What a rule list's JSON says.

        Raises:
            RuleError: one of them is malformed; the former rules stay in force.
        """
        if not isinstance(rules, list):
            raise RuleError("the rules must be a JSON list of objects")
        self._active = [_activate(number, rule) for number, rule in enumerate(rules, start=1)]

    def for_call(
        self, operation: str, providers: Collection[str], *, youngest: float
    ) -> OperationRule | None:
        """Return the rule for a call, and count its use.

        Args:
            operation: The call's operation.
            providers: The capacity providers of the tasks that the call is about.
            youngest: The age, in unscaled seconds, of the youngest of these tasks; infinite for
                none. A `missing_for` rule applies only while it makes a difference.
        """
        for active in self._active:
            rule = active.rule
            if (
                isinstance(rule, OperationRule)
                and rule.operation == operation
                and active.fits(providers)
                and (rule.missing_for is None or youngest < rule.missing_for)
            ):
                active.left -= 1
                return rule
        return None

    def for_task(self, provider: str, containers: Sequence[Container]) -> TaskFaults:
        """Return the faults of a task about to be started, and count their use.

        Args:
            provider: Its capacity provider.
            containers: Its containers: a rule about another one is left for another task.
        """
        for active in self._active:
            rule = active.rule
            if (
                isinstance(rule, TaskRule)
                and active.fits({provider})
                and any(map(rule.task.strikes, containers))
            ):
                active.left -= 1
                return rule.task
        return TaskFaults()


def _activate(number: int, value: Any) -> _Active:
    if not isinstance(value, dict):
        raise RuleError(f"rule {number}: must be a JSON object")
    kinds = [kind for kind in ("operation", "task") if kind in value]
    if len(kinds) != 1:
        raise RuleError(f"rule {number}: needs exactly one of the keys operation and task")
    try:
        rule = (TaskRule if kinds == ["task"] else OperationRule).model_validate(value)
    except ValidationError as error:
        raise RuleError(f"rule {number}: {_first_problem(error)}") from None
    unlimited = isinstance(rule, OperationRule) and rule.missing_for is not None
    return _Active(rule, rule.times or (math.inf if unlimited else 1))


def _first_problem(error: ValidationError) -> str:
    """Return pydantic's first finding in one line: the key's path and what is wrong."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    key = ".".join(str(part)[:60] for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        text = "unknown key"
    else:
        text = problem["msg"].removeprefix("Value error, ")
    line = f"{key}: {text}" if key else text
    return line.encode(errors="backslashreplace").decode().replace("\n", " ")
