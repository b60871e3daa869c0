"""Making RunTask's parameters."""

from __future__ import annotations

import hashlib
import re
import socket
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fargate_driver.settings import Settings


def request(settings: Settings, public_key: str) -> dict[str, Any]:
    """Make the parameters of RunTask for one launch.

    Neither launchType nor capacityProviderStrategy is sent, so that the cluster's default strategy
    decides, and tags only where the configuration has them: each needs IAM rights or a cluster that
    users of the Go driver may not have.

    Args:
        settings: the configuration.
        public_key: the job's public key, one line, for the container's SSH_PUBLIC_KEY.

    Returns:
        Parameters as in https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html,
        with a clientToken of their own.
    """
    fargate = settings.fargate
    parameters: dict[str, Any] = {
        "cluster": fargate.cluster,
        "taskDefinition": fargate.task_definition,
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
                }
            ]
        },
        "startedBy": started_by(str(settings.task_metadata.directory)),
        "clientToken": uuid.uuid4().hex,
    }
    if fargate.platform_version:
        parameters["platformVersion"] = fargate.platform_version
    if fargate.tags:
        parameters["tags"] = [{"key": k, "value": v} for k, v in fargate.tags.items()]
    if fargate.propagate_tags:
        parameters["propagateTags"] = "TASK_DEFINITION"
    return parameters


def started_by(directory: str) -> str:
    """Name this manager, the same for all of its tasks.

    A manager is a host with a directory of records: tasks of either are told apart from those of
    other managers in the same cluster.

    Args:
        directory: `[TaskMetadata] Directory`, absolute.

    Returns:
        At most 128 letters, digits, hyphens and slashes, as RunTask's startedBy takes.
    """
    host = socket.gethostname()
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", host)[:64]
    digest = hashlib.sha256(f"{host}\0{directory}".encode()).hexdigest()[:12]
    return f"gitlab-fargate-driver/{readable}/{digest}"
