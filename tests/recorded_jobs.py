"""Records of jobs that seem to run, and a configuration that leads to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver import jobs, records
from fargate_driver.ecs.target import Target
from fargate_driver.moment import now
from fargate_driver.owner import owner_of_this_call

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:ecs:us-east-1:123456789012:task/ci/0123456789abcdef0123456789abcdef"
CONFIG = """
[Fargate]
Cluster = "ci"
Region = "us-east-1"
Subnet = "subnet-0abc"
SecurityGroup = "sg-0abc"
TaskDefinition = "ci-coordinator"

[TaskMetadata]
Directory = "records"

[SSH]
Username = "root"
"""


def record(directory: Path, number: int, **about: str) -> records.JobRecord:
    """A job that another process seems to prepare."""
    place = directory / "records" / f"{number}-{number:020x}"
    jobs.create(str(place))
    temporary = directory / f"tmp-{number}"
    temporary.mkdir()
    owner = owner_of_this_call(str(temporary), 3600)
    about = {"job": str(number), "project": "group/project", "name": "test"} | about
    made = records.JobRecord(str(place), f"job {number}", Target("us-east-1", "ci"), owner, about)
    size = {"cpu": "512", "memory": "2048", "containers": [{"name": "ci-coordinator"}]}
    made.launches = [
        records.Launch({}, now(), ARN, size=size, definition="ci:3", capacity="FARGATE_SPOT")
    ]
    made.save()
    return made
