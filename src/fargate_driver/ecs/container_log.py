"""Where a container's lines are in CloudWatch Logs.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoLogError(DriverError):
    """A container's lines don't go to CloudWatch Logs; the text begins in the middle of a line."""


class Stream(NamedTuple):
    """A log stream.

    Attributes:
        group: The log group's name.
        name: Its own.
        region: Where they are.
    """

    group: str
    name: str
    region: str


def stream(definition: Mapping[str, Any], container: str, task_arn: str, region: str) -> Stream:
    """Find where a container's lines go.

    Args:
        definition: The task definition, as DescribeTaskDefinition shows it.
        container: The container's name.
        task_arn: Its task.
        region: That of the task.

    Raises:
        NoLogError: Not to CloudWatch Logs, or to where nobody can tell.
    """
    containers = {one.get("name"): one for one in definition["containerDefinitions"]}
    log = containers.get(container, {}).get("logConfiguration") or {}
    if log.get("logDriver") != "awslogs":
        has = f"the log driver {log['logDriver']}" if log else "no logConfiguration"
        raise NoLogError(f"has {has}; only awslogs can be read")
    options = log.get("options") or {}
    names = ("awslogs-group", "awslogs-stream-prefix")
    for name in names:
        if not options.get(name):
            raise NoLogError(f"has no {name}, so its log can't be found")
    group, prefix = (options[name] for name in names)
    task_id = task_arn.rpartition("/")[2]
    return Stream(group, f"{prefix}/{container}/{task_id}", options.get("awslogs-region") or region)
