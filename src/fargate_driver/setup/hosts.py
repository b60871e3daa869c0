"""How large gitlab-runner's host has to be, by how many jobs may start there at the same time.

A prepare was measured to take 41 MiB of its own, and 57 with what processes share; what runs later
of a job takes less.
"""

from __future__ import annotations

import math

from fargate_driver.ecs import sizes

_OF_A_JOB = 60
_OF_THE_HOST = 300
"""The system, and gitlab-runner itself."""
_USABLE = 0.9
"""What a system sees of the memory that AWS names."""
_FARGATE_CPU = 512
_INSTANCES = {
    "t3.small": 2,
    "t3.medium": 4,
    "t3.large": 8,
    "t3.xlarge": 16,
    "t3.2xlarge": 32,
    "r5.2xlarge": 64,
    "r5.4xlarge": 128,
    "r5.8xlarge": 256,
    "r5.16xlarge": 512,
    "r5.24xlarge": 768,
}
"""GiB of memory by type (https://aws.amazon.com/ec2/instance-types/)."""


def memory(jobs: int) -> int:
    """The MiB that so many jobs take which start at the same time, and gitlab-runner's host."""
    return _OF_THE_HOST + _OF_A_JOB * jobs


def jobs_in(mib: int) -> int:
    """How many jobs may start at the same time in so much memory, in MiB."""
    return max((mib - _OF_THE_HOST) // _OF_A_JOB, 0)


def instance_type(jobs: int) -> str:
    """The smallest EC2 instance for so many jobs, the largest known one where none has enough."""
    enough = (name for name, gib in _INSTANCES.items() if gib * 1024 * _USABLE >= memory(jobs))
    return next(enough, list(_INSTANCES)[-1])


def fargate_size(jobs: int) -> tuple[int, int] | None:
    """CPU units and MiB of the smallest task for so many jobs; None where none has enough."""
    most = {"most_cpu": sizes.LARGEST_CPU, "most_memory": sizes.LARGEST_MEMORY}
    return sizes.fitting(_FARGATE_CPU, math.ceil(memory(jobs) / _USABLE), **most)


def most_on_fargate() -> int:
    """The jobs that the largest task is enough for."""
    return jobs_in(int(sizes.LARGEST_MEMORY * _USABLE))
