"""Making RunTask's parameters."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from typing import TYPE_CHECKING, Any

from fargate_driver import host
from fargate_driver.ecs.pace import Rate
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.settings import Capacity, Settings, TaskMetadata

RATE = Rate(per_second=15.0, burst=5)
"""Calls of RunTask by one host. AWS allows an account 20 a second in a Region
(https://docs.aws.amazon.com/AmazonECS/latest/userguide/throttling.html): some
are left to others."""


def request(
    settings: Settings,
    public_key: str,
    capacity: Capacity | None,
    *,
    definition: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    limits: Mapping[str, int] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make the parameters of RunTask for one launch.

    Tags are sent only where the configuration has them, since they need an IAM right that users of
    the Go driver may not have.

    Args:
        settings: the configuration.
        public_key: the job's public key, one line, for the container's SSH_PUBLIC_KEY.
        capacity: the entry of `[[Capacity]]` to start it on. None: neither launchType nor
            capacityProviderStrategy is sent, so that the cluster's default strategy decides.
        definition: the task definition where it is not that of the configuration.
        overrides: more for RunTask's `overrides`; its containerOverrides, where it has them, take
            the place of those that are made here.
        limits: of the container, in place of those of its definition.
        tags: those of the task definition that this one was derived from. They are given to the
            task and not to the derived definition, which would need a right of its own.

    Returns:
        Parameters as in https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html,
        with a clientToken of their own.
    """
    fargate = settings.fargate
    parameters: dict[str, Any] = {
        "cluster": fargate.cluster,
        "taskDefinition": definition or fargate.task_definition,
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": list(fargate.subnets),
                "securityGroups": list(fargate.security_groups),
                "assignPublicIp": "ENABLED" if fargate.enable_public_ip else "DISABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {
                    "name": fargate.container_name,
                    "environment": [{"name": "SSH_PUBLIC_KEY", "value": public_key}],
                    **(limits or {}),
                }
            ],
            **(overrides or {}),
        },
        "startedBy": started_by(settings.task_metadata),
        "clientToken": uuid.uuid4().hex,
    }
    if fargate.platform_version:
        parameters["platformVersion"] = fargate.platform_version
    if capacity:
        _place(parameters, capacity)
    if all_tags := {**(tags or {}), **fargate.tags}:
        parameters["tags"] = [{"key": k, "value": v} for k, v in all_tags.items()]
    if fargate.propagate_tags:
        parameters["propagateTags"] = "TASK_DEFINITION"
    return parameters


def _place(parameters: dict[str, Any], capacity: Capacity) -> None:
    """Ask for a capacity. ECS refuses a launch type beside a capacity provider strategy."""
    if capacity.provider:
        item: dict[str, Any] = {"capacityProvider": capacity.provider, "weight": capacity.weight}
        if capacity.base is not None:
            item["base"] = capacity.base
        parameters["capacityProviderStrategy"] = [item]
    else:
        parameters["launchType"] = capacity.launch_type
    if capacity.subnets:
        network = parameters["networkConfiguration"]["awsvpcConfiguration"]
        network["subnets"] = list(capacity.subnets)
    if capacity.platform_version:
        parameters["platformVersion"] = capacity.platform_version


def target(settings: Settings) -> Target:
    """Where the settings want ECS to be called."""
    fargate = settings.fargate
    return Target(fargate.region, fargate.cluster, fargate.endpoint_url, fargate.assume_role)


def started_by(records: TaskMetadata) -> str:
    """Name this manager, the same for all of its tasks.

    A manager is a host, or what goes by the name that `Manager` gives, with a directory of records:
    tasks of either are told apart from those of other managers in the same cluster.

    Args:
        records: `[TaskMetadata]`.

    Returns:
        At most 128 letters, digits, hyphens and slashes, as RunTask's startedBy takes.
    """
    name = records.manager or os.uname().nodename
    who = records.manager or host.identity()
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", name)[:64]
    digest = hashlib.sha256(f"{who}\0{records.directory}".encode()).hexdigest()[:12]
    return f"gitlab-fargate-driver/{readable}/{digest}"
