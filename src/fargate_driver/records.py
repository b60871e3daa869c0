"""The job record: the tasks of a job, and how to call ECS about them.

It is written before each AWS call that could leave something, so that whoever comes after a crash
finds what to stop. The run stage doesn't read it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fargate_driver.ecs.target import Target
from fargate_driver.jobs import RECORD, RecordError, write
from fargate_driver.moment import Moment
from fargate_driver.owner import Owner

VERSION = 1
_TOKEN_LIFETIME = 23 * 3600
"""Seconds in which a RunTask may be replayed: clientTokens hold 24 h at most
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html)."""


class Launch:
    """One intent to start a task, recorded before RunTask is called.

    Args:
        request: RunTask's parameters, the clientToken included: replaying them unchanged returns
            the same task. Without its overrides where it was loaded and its outcome is known.
        created: when it was written.
        task_arn: the started task, once it is known.
        refused: whether ECS answered that it started nothing.
        size: the task's cpu and memory, and those of the job's container, in RunTask's form.
        essential: the containers whose end ends the task; none where that isn't known.
        definition: the task definition that it was started from, `family:revision`.
        capacity: the capacity provider that ECS took, or the launch type.
    """

    __slots__ = (
        "capacity", "created", "definition", "essential", "refused", "request", "size", "task_arn",
    )  # fmt: skip

    def __init__(
        self,
        request: dict[str, Any],
        created: Moment,
        task_arn: str | None = None,
        refused: bool = False,
        *,
        size: dict[str, Any] | None = None,
        essential: list[str] | None = None,
        definition: str = "",
        capacity: str = "",
    ) -> None:
        self.request = request
        self.created = created
        self.task_arn = task_arn
        self.refused = refused
        self.size = size or {}
        self.essential = essential or []
        self.definition = definition
        self.capacity = capacity

    def kept(self) -> dict[str, Any]:
        """What is written down of it.

        The overrides, which may hold secrets for services, stay only as long as the request may
        have to be replayed.
        """
        request = self.request
        if self.task_arn or self.refused:
            request = {name: value for name, value in request.items() if name != "overrides"}
        return {name: getattr(self, name) for name in Launch.__slots__} | {"request": request}

    @property
    def replayable(self) -> bool:
        """Whether ECS still knows the clientToken, so that a replay starts nothing new."""
        return 0 <= self.created.age() < _TOKEN_LIFETIME


class JobRecord:
    """The tasks of a job, and how to call ECS about them.

    Args:
        directory: the job's directory.
        description: job, pipeline and project, for people.
        target: where ECS is called.
        owner: how a later process can see whether the job is over.
        about: what commands show of the job, by name; empty in records of older versions.
    """

    __slots__ = ("about", "description", "directory", "launches", "owner", "target")

    def __init__(
        self,
        directory: str,
        description: str,
        target: Target,
        owner: Owner,
        about: dict[str, str] | None = None,
    ) -> None:
        self.about = about or {}
        self.directory = directory
        self.description = description
        self.target = target
        self.owner = owner
        self.launches: list[Launch] = []

    @property
    def task_arn(self) -> str | None:
        """The task of the latest launch."""
        return self.launches[-1].task_arn if self.launches else None

    @property
    def size(self) -> dict[str, Any]:
        """That of the latest launch; {} where it isn't known."""
        return self.launches[-1].size if self.launches else {}

    @property
    def container(self) -> str:
        """The container that the job runs in; "" where it isn't known."""
        containers = self.size.get("containers") or [{}]
        return str(containers[0].get("name") or "")

    def save(self) -> None:
        """Write the record so that a crash leaves the old one or the new one.

        Raises:
            RecordError: it can't be written.
        """
        data = {
            "version": VERSION,
            "description": self.description,
            "about": self.about,
            "owner": self.owner._asdict(),
            "target": {name: getattr(self.target, name) for name in Target.__slots__},
            "launches": [launch.kept() for launch in self.launches],
        }
        write(str(Path(self.directory, RECORD)), json.dumps(data))


def load(directory: str) -> JobRecord | None:
    """Read a job's record.

    Args:
        directory: the job's directory.

    Returns:
        The record, or None where a crash came before it was first written.

    Raises:
        RecordError: it is unreadable, damaged or of a newer driver.
    """
    path = Path(directory, RECORD)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise RecordError(f"{path}: the job's record can't be read: {e}") from e
    try:
        if data["version"] != VERSION:
            raise RecordError(
                f"{path}: written by another version of the driver (record version"
                f" {data['version']}, this one knows {VERSION}); finish the job with that one"
            )
        owner = Owner(**data["owner"] | {"began": Moment(*data["owner"]["began"])})
        record = JobRecord(
            directory,
            data["description"],
            Target(**data["target"]),
            owner,
            dict(data.get("about") or {}),
        )
        record.launches = [
            Launch(**launch | {"created": Moment(*launch["created"])})
            for launch in data["launches"]
        ]
        _check_types(record)
    except (KeyError, TypeError, ValueError) as e:
        raise RecordError(f"{path}: the job's record is damaged: {e!r}") from e
    return record


def _check_types(record: JobRecord) -> None:
    """See that what was read is of the kinds that were written; TypeError where it isn't."""
    target, owner = record.target, record.owner
    text, number, maybe = (str,), (int, float), (str, type(None))
    found: list[tuple[object, tuple[type, ...]]] = [
        *((value, text) for value in (record.description, target.region, target.cluster)),
        *((value, maybe) for value in (target.endpoint_url, target.assume_role)),
        *((value, text) for value in record.about.values()),
    ]
    names = ("host", "pid_namespace", "mount_namespace", "temporary")
    found += [(getattr(owner, name), text) for name in names]
    found += [(n, number) for n in (owner.runner_pid, owner.runner_started, owner.longest)]
    for launch in record.launches:
        found += [
            (launch.request, (dict,)),
            (launch.size, (dict,)),
            (launch.essential, (list,)),
            (launch.task_arn, maybe),
            (launch.refused, (bool,)),
            (launch.definition, text),
            (launch.capacity, text),
        ]
    for moment in (owner.began, *(launch.created for launch in record.launches)):
        found += [(moment.epoch, number), (moment.boot, text), (moment.uptime, number)]
    for value, kinds in found:
        if type(value) not in kinds:
            raise TypeError(f"a value is {type(value).__name__}")
