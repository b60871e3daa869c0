"""Amazon resource names and identifiers that look like AWS's own.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html (partitions) and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html (the long format of ECS).
"""

from __future__ import annotations

import secrets

ACCOUNT = "123456789012"
"""The one account of the embedded Fargate: AWS's own example."""

_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "us-iso": "aws-iso", "us-isob": "aws-iso-b"}


def partition(region: str) -> str:
    """Return the partition of a region: `aws`, or another one for China and the US government."""
    return _PARTITIONS.get(region.rsplit("-", 2)[0], "aws")


def arn(service: str, region: str, resource: str) -> str:
    """Return the ARN of a resource, given as `kind/name`, of the embedded account."""
    return f"arn:{partition(region)}:{service}:{region}:{ACCOUNT}:{resource}"


def resource_of(value: str, region: str, kind: str) -> str | None:
    """Return what follows `kind/` in an ECS ARN of this account and region; None for anything else."""
    prefix = arn("ecs", region, f"{kind}/")
    return value.removeprefix(prefix) if value.startswith(prefix) else None


def task_id() -> str:
    """Return a new task's identifier: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def ec2_id(kind: str) -> str:
    """Return a new EC2 identifier such as `eni-0123456789abcdef0`."""
    return f"{kind}-0{secrets.token_hex(8)}"
