"""DescribeTasks, ListTasks and StopTask.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html and its
siblings.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from fargate_driver.local import paging
from fargate_driver.local.api_errors import ApiError, invalid_parameter
from fargate_driver.local.arns import arn
from fargate_driver.local.lifecycle import Stop
from fargate_driver.local.reasons import STOPPED_BY_USER

if TYPE_CHECKING:
    from fargate_driver.local.task import Task
    from fargate_driver.local.world import Cluster, Region, World

_MOST_TASKS = 100  # of one DescribeTasks call


def describe_tasks(
    world: World, region: Region, request: dict[str, Any], *, missing_for: float = 0.0
) -> dict[str, Any]:
    """DescribeTasks; tasks younger than `missing_for` seconds are MISSING, as may happen on AWS."""
    cluster = region.cluster(request.get("cluster"))
    if not request["tasks"]:
        raise invalid_parameter("Tasks cannot be empty.")
    if len(request["tasks"]) > _MOST_TASKS:
        raise invalid_parameter("Tasks cannot be greater than 100 elements.")
    found, failures = [], []
    for identifier in request["tasks"]:
        _check_identifier(identifier)
        task = world.find_task(cluster, identifier)
        if task is None or _age(task) < missing_for:
            failures.append({"arn": _arn(cluster, identifier), "reason": "MISSING"})
        else:
            found.append(task.describe(tags="TAGS" in request.get("include", [])))
    return {"tasks": found, "failures": failures}


def list_tasks(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListTasks: running ones unless stopped ones are asked for; `startedBy` matches exactly."""
    cluster = region.cluster(request.get("cluster"))
    # PENDING is allowed and finds nothing, says ECS's documentation: no task desires it.
    wanted = {
        "desired": request.get("desiredStatus", "RUNNING"),
        "started_by": request.get("startedBy"),
        "family": request.get("family"),
        "launch_type": request.get("launchType"),
    }
    arns = [
        task.arn
        for task in world.tasks.values()
        if (task.region, task.cluster) == (cluster.region, cluster.name)
        and all(value in {None, getattr(task, name)} for name, value in wanted.items())
    ]
    return paging.page("taskArns", arns, request)


def stop_task(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """StopTask: returns at once; a task that stops already keeps its reason."""
    cluster = region.cluster(request.get("cluster"))
    _check_identifier(request["task"])
    task = world.find_task(cluster, request["task"])
    if task is None:
        raise invalid_parameter("The referenced task was not found.")
    reason = request.get("reason") or STOPPED_BY_USER
    world.fleet.stop(task, Stop("UserInitiated", reason))
    return {"task": task.describe(tags=True)}


def named_tasks(world: World, region: Region, request: dict[str, Any]) -> list[Task]:
    """Return the existing tasks that a DescribeTasks or StopTask request names, for fault rules."""
    try:
        cluster = region.cluster(request.get("cluster"))
    except ApiError:
        return []
    identifiers = [request["task"]] if "task" in request else request.get("tasks", [])
    found = (world.find_task(cluster, identifier) for identifier in identifiers)
    return [task for task in found if task is not None]


def youngest(tasks: list[Task]) -> float:
    """Return the seconds since the youngest task's RunTask; infinite for no tasks."""
    return min((_age(task) for task in tasks), default=math.inf)


def _age(task: Task) -> float:
    return time.time() - task.times["createdAt"]


def _arn(cluster: Cluster, identifier: str) -> str:
    if identifier.startswith("arn:"):
        return identifier
    return arn("ecs", cluster.region, f"task/{cluster.name}/{identifier}")


def _check_identifier(identifier: str) -> None:
    # A plain id is 32 hexadecimal digits, or 36 characters for the format of before 2018.
    if not identifier.startswith("arn:") and len(identifier) not in {32, 36}:
        raise invalid_parameter("taskId length should be one of [32,36]")
