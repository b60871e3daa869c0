"""Jobs that are over although nobody cleaned up: a record, and a task on a local Fargate."""

from __future__ import annotations

import itertools
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_driver import jobs, moment, records
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.target import Target
from fargate_driver.owner import owner_of_this_call

if TYPE_CHECKING:
    from fargate_driver.moment import Moment
    from local_fargate import LocalFargate

_NUMBERS = itertools.count(100)
_NETWORK = {"subnets": ["subnet-0abc"], "securityGroups": ["sg-0abc"], "assignPublicIp": "DISABLED"}


def metadata(fargate: LocalFargate) -> Path:
    """`[TaskMetadata] Directory`."""
    return Path(fargate.settings["TaskMetadata"]["Directory"])


def orphan(
    fargate: LocalFargate,
    *,
    known: bool = True,
    task: bool = True,
    created: Moment | None = None,
    temporary: str = "/nowhere",
) -> Path:
    """Leave a job as a driver that was killed leaves it.

    Args:
        fargate: Where its task is.
        known: Whether the driver came to know its task.
        task: Whether there is one.
        created: When its request was recorded.
        temporary: The runner's temporary directory; by one that is there, the job still runs.

    Returns:
        The job's directory, by whose name the job is described.
    """
    name = f"{next(_NUMBERS)}-{uuid.uuid4().hex[:20]}"
    directory = metadata(fargate) / name
    jobs.create(str(directory))
    target = Target("us-east-1", "default", fargate.url)
    owner = owner_of_this_call(temporary, 3600)
    job = records.JobRecord(str(directory), f"job {name}", target, owner)
    request: dict[str, Any] = {
        "cluster": "default",
        "taskDefinition": "ci-coordinator",
        "networkConfiguration": {"awsvpcConfiguration": _NETWORK},
        "clientToken": uuid.uuid4().hex,
        "startedBy": "orphans",
    }
    launch = records.Launch(request, created or moment.now())
    job.launches.append(launch)
    if task:
        arn = Ecs(target, deadline=time.monotonic() + 30).run_task(request)["taskArn"]
        launch.task_arn = arn if known else None
    job.save()
    return directory
