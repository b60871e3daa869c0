"""What a diagnosis says, and the form of the rows that it is made from."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Fault(enum.StrEnum):
    """Whose fault it is, so who can mend it."""

    SCRIPT = "script"
    """The job's own commands."""
    IMAGE = "image"
    """The container image: missing, private, for another architecture, ending by itself."""
    CONFIGURATION = "configuration"
    """fargate.toml, the task definition, the cluster or the account's set-up."""
    PERMISSIONS = "permissions"
    """An IAM policy, of the manager or of the task's execution role."""
    CAPACITY = "capacity"
    """Nothing free: Fargate itself, a quota, or addresses of a subnet."""
    AWS = "aws"
    """AWS failed, or throttled."""
    SPOT = "spot"
    """AWS took Spot capacity back."""
    NETWORK = "network"
    """No way from the task, or the manager, to something."""
    OPERATOR = "operator"
    """Somebody ended the task on purpose."""
    UNKNOWN = "unknown"
    """AWS's words are not in the table."""


class Retry(enum.StrEnum):
    """Whether prepare should try again, within StartTimeout."""

    NEVER = "never"
    """It would fail the same way."""
    RELAUNCH = "relaunch"
    """A new launch, with a clientToken of its own."""
    NEXT_CAPACITY = "next-capacity"
    """A new launch on the next capacity; on the same one, after a pause, where there is no next."""
    WAIT = "wait"
    """The same after a pause: an API call as it was, a stopped task by a new launch."""


class ExitKind(enum.StrEnum):
    """Which of gitlab-runner's exit codes fits."""

    SYSTEM = "system failure"
    JOB = "script failure"


class Chosen(enum.StrEnum):
    """What the author of a job may have chosen, and then can mend, as the job calls it."""

    TASK_DEFINITION = "FARGATE_TASK_DEFINITION"
    PLATFORM_VERSION = "FARGATE_PLATFORM_VERSION"
    IMAGE = "image"


class Where(enum.Flag):
    """Where AWS says something."""

    TASK = enum.auto()
    """stopCode, stoppedReason and the containers' reasons of a stopped task."""
    FAILURE = enum.auto()
    """RunTask's `failures`, which come with HTTP 200."""
    API = enum.auto()
    """An error of an API call, or no answer at all."""
    ANY = TASK | FAILURE | API


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that AWS says, and what it means. All matchers that are given must match.

    Args:
        name: the verdict's stable name, kebab-case.
        summary: what happened, with {facts} to be filled in (facts.FACTS).
        fault: whose fault it is.
        remedy: what to do, with {facts} too.
        retry: whether prepare tries again.
        example: AWS's words, for the documentation and the table's own test.
        source: URL of where AWS's words, or their meaning, come from.
        text: regular expression to be found in AWS's words, in any letter case.
        code: regular expression for the whole stop code or API error code.
        exit_code: of the container that ended the task.
        where: where AWS says it.
        chosen: what would have to be chosen otherwise; where the job's author chose it, a system
            failure becomes a script failure, which isn't retried.
    """

    name: str
    summary: str
    fault: Fault
    remedy: str
    retry: Retry
    example: str
    source: str
    text: str = ""
    code: str = ""
    exit_code: int | None = None
    where: Where = Where.ANY
    chosen: Chosen | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a task didn't start, or ended.

    Args:
        name: stable identifier, kebab-case; `unknown` where AWS's words are new.
        summary: what happened: one printable line.
        fault: whose fault it is.
        remedy: what to do: one printable line.
        retry: whether prepare should try again.
        exit_kind: which of gitlab-runner's exit codes fits.
        raw: AWS's own words, on one printable line, cut only where they are very long.
        source: URL of where the meaning comes from; "" for an unknown one.
        chosen: what the job's author chose wrongly; None where it is not theirs to mend.
    """

    name: str
    summary: str
    fault: Fault
    remedy: str
    retry: Retry
    exit_kind: ExitKind
    raw: str
    source: str
    chosen: Chosen | None = None

    def beside(self, words: str) -> str:
        """AWS's words as they stand, and what they mean where that is known.

        Args:
            words: what was said, in full.
        """
        if self.fault is Fault.UNKNOWN:
            return words
        return f"{words.removesuffix('.')}. {self.summary}: {self.remedy} [{self.name}]"

    @property
    def line(self) -> str:
        """All of it for the job's log: what, what to do, the name to look up, AWS's own words."""
        said = f"; AWS says: {self.raw}" if self.raw else ""
        return f"{self.summary}: {self.remedy} [{self.name}]{said}"
