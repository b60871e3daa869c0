"""The variables that ECS itself gives to a container.

Source:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
and https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fargate_driver.local.container import Container
    from fargate_driver.local.task import Task

_ENDPOINT = "http://169.254.170.2"
"""Where a real task finds its metadata; nothing answers there in the embedded Fargate."""


def ecs_variables(task: Task, container: Container) -> dict[str, str]:
    """Return ECS's variables for one of a task's containers."""
    variables = {
        "AWS_DEFAULT_REGION": task.region,
        "AWS_REGION": task.region,
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "ECS_AGENT_URI": f"{_ENDPOINT}/api/{container.runtime_id}",
        "ECS_CONTAINER_METADATA_URI_V4": f"{_ENDPOINT}/v4/{container.runtime_id}",
    }
    if task.role:
        variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{uuid.uuid4()}"
    return variables
