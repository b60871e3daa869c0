"""One container of a task: what is known of it, and how DescribeTasks shows it.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Container.html
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from fargate_driver.local.arns import arn

_OVERRIDABLE = ("command", "cpu", "memory", "memoryReservation")


@dataclass(kw_only=True)
class Container:
    """A task's container."""

    definition: dict[str, Any]
    """Its containerDefinition, defaults and RunTask's overrides filled in, `environment` not."""
    environment: dict[str, str] = field(repr=False)
    """What the definition and the request say, ECS's own variables left out."""
    runtime_id: str
    arn: str
    status: str = "PENDING"
    health: str = "UNKNOWN"
    exit_code: int | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """Its name in the task definition."""
        return str(self.definition["name"])

    @property
    def image(self) -> str:
        """Its image, as the task definition names it."""
        return str(self.definition["image"])

    @property
    def essential(self) -> bool:
        """Whether the task ends with it."""
        return bool(self.definition["essential"])

    @property
    def health_check(self) -> dict[str, Any] | None:
        """Its health check; None where it has none."""
        check: dict[str, Any] | None = self.definition.get("healthCheck")
        return check if check and check["command"] != ["NONE"] else None

    @property
    def dependencies(self) -> dict[str, str]:
        """The condition by the name of the container that has to meet it."""
        given = self.definition.get("dependsOn", [])
        return {one["containerName"]: one["condition"] for one in given}

    def describe(self, task_arn: str, attachment: str, address: str | None) -> dict[str, Any]:
        """Return the container as DescribeTasks does.

        Args:
            task_arn: Its task's ARN.
            attachment: The id of the attachment of the task's network interface.
            address: The interface's address; None until there is one.
        """
        network = {"attachmentId": attachment, "privateIpv4Address": address}
        # Nobody has pulled an image before there is an address, nor knows its digest.
        digest = f"sha256:{hashlib.sha256(self.image.encode()).hexdigest()}"
        shown = {
            "containerArn": self.arn,
            "taskArn": task_arn,
            "name": self.name,
            "image": self.image,
            "imageDigest": digest if address else None,
            "runtimeId": self.runtime_id,
            "lastStatus": self.status,
            "healthStatus": self.health,
            "exitCode": self.exit_code,
            "reason": self.reason,
            "networkBindings": [],
            "networkInterfaces": [network] if address else [],
        }
        for key in ("cpu", "memory", "memoryReservation"):
            if key in self.definition:
                shown[key] = str(self.definition[key])
        return {name: value for name, value in shown.items() if value is not None}


def new_container(
    region: str,
    cluster: str,
    task_id: str,
    definition: dict[str, Any],
    overrides: dict[str, Any],
) -> Container:
    """Return a container that waits for its start.

    Args:
        region: Its task's region.
        cluster: Its task's cluster, by name.
        task_id: Its task's id.
        definition: Its definition, defaults filled in.
        overrides: All of the request's overrides.
    """
    merged = dict(definition)
    variables = list(definition["environment"])
    for override in overrides.get("containerOverrides", []):
        if override["name"] == definition["name"]:
            merged |= {key: override[key] for key in _OVERRIDABLE if key in override}
            variables += override.get("environment", [])
    return Container(
        definition=merged,
        environment={variable["name"]: variable.get("value", "") for variable in variables},
        runtime_id=f"{task_id}-{secrets.randbelow(10**10):010}",
        arn=arn("ecs", region, f"container/{cluster}/{task_id}/{uuid.uuid4()}"),
    )
