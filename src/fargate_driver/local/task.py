"""One task of the embedded Fargate: what is known of it, and how DescribeTasks shows it.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
"""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fargate_driver.local.arns import arn, ec2_id
from fargate_driver.local.tags import as_list

if TYPE_CHECKING:
    from fargate_driver.local.container import Container

PLATFORM_VERSION = "1.4.0"


@dataclass
class Interface:
    """A task's network interface; its address is unknown until the task has started."""

    interface_id: str
    subnet: str
    security_groups: list[str]
    public: bool
    """Whether it has a public address: the embedded Fargate's is the private one."""
    mac: str = field(default_factory=lambda: "02:" + secrets.token_bytes(5).hex(":"))
    attachment_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "PRECREATED"
    address: str | None = None


@dataclass(kw_only=True)
class Task:
    """A task; the lifecycle changes it, everyone else only reads."""

    task_id: str
    region: str
    cluster: str
    """The cluster's name."""
    definition_arn: str
    family: str
    cpu: int
    memory: int
    launch_type: str
    provider: str | None
    """The capacity provider; None where the request asked for a launch type."""
    interface: Interface
    containers: list[Container]
    volumes: list[dict[str, Any]]
    """The definition's."""
    architecture: str
    """As the definition says; the machine's where it says nothing, unlike on AWS: X86_64 there."""
    role: str | None
    """The task role's ARN."""
    overrides: dict[str, Any] = field(repr=False)
    group: str
    started_by: str | None
    tags: dict[str, str]
    execute_command: bool
    ephemeral_gib: int
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    placed: bool = True
    """False where no capacity was found: ECS then lists neither containers nor attachments."""
    stop_code: str | None = None
    stopped_reason: str | None = None
    connected_at: float | None = None
    times: dict[str, float] = field(default_factory=dict)
    """The moments that DescribeTasks shows, by their names there; seconds since the epoch."""
    version: int = 1

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return arn("ecs", self.region, f"task/{self.cluster}/{self.task_id}")

    @property
    def placed_on(self) -> str:
        """The capacity provider that fault rules see; FARGATE where none was asked for."""
        return self.provider or "FARGATE"

    @property
    def health(self) -> str:
        """The health of the essential containers that are checked, or that a rule made ill."""
        found = {
            one.health
            for one in self.containers
            if one.essential and (one.health_check or one.health != "UNKNOWN")
        }
        if "UNHEALTHY" in found:
            return "UNHEALTHY"
        return "HEALTHY" if found == {"HEALTHY"} else "UNKNOWN"

    def mark(self, moment: str) -> None:
        """Note that something happened now; ECS gives times in milliseconds."""
        self.times[moment] = round(time.time(), 3)
        self.version += 1

    def enter(self, status: str) -> None:
        """Go on to another lastStatus."""
        self.status = status
        self.version += 1

    def describe(self, *, tags: bool) -> dict[str, Any]:
        """Return the task as DescribeTasks does, with its tags where the caller included them."""
        shown = {
            "taskArn": self.arn,
            "clusterArn": arn("ecs", self.region, f"cluster/{self.cluster}"),
            "taskDefinitionArn": self.definition_arn,
            "availabilityZone": f"{self.region}a",
            "lastStatus": self.status,
            "desiredStatus": self.desired,
            "healthStatus": self.health,
            "cpu": str(self.cpu),
            "memory": str(self.memory),
            "launchType": self.launch_type,
            "capacityProviderName": self.provider,
            "platformVersion": PLATFORM_VERSION,
            "platformFamily": "Linux",
            "group": self.group,
            "startedBy": self.started_by,
            "enableExecuteCommand": self.execute_command,
            "ephemeralStorage": {"sizeInGiB": self.ephemeral_gib},
            "fargateEphemeralStorage": {"sizeInGiB": self.ephemeral_gib},
            "connectivity": "CONNECTED" if self.connected_at else None,
            "connectivityAt": self.connected_at,
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
            "version": self.version,
            "overrides": {
                "containerOverrides": [],
                "inferenceAcceleratorOverrides": [],
                **self.overrides,
            },
            "attributes": [{"name": "ecs.cpu-architecture", "value": self.architecture.lower()}],
            "inferenceAccelerators": [],
            "attachments": [self._attachment()] if self.placed else [],
            "containers": self._containers() if self.placed else [],
            "tags": as_list(self.tags) if tags else [],
            **self.times,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _containers(self) -> list[dict[str, Any]]:
        interface = self.interface
        return [
            one.describe(self.arn, interface.attachment_id, interface.address)
            for one in self.containers
        ]

    def _attachment(self) -> dict[str, Any]:
        interface = self.interface
        details = {"subnetId": interface.subnet}
        if interface.status != "PRECREATED":
            details["networkInterfaceId"] = interface.interface_id
            details["macAddress"] = interface.mac
        if interface.address:
            details["privateDnsName"] = f"ip-{interface.address.replace('.', '-')}.ec2.internal"
            details["privateIPv4Address"] = interface.address
        return {
            "id": interface.attachment_id,
            "type": "ElasticNetworkInterface",
            "status": interface.status,
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }


def new_interface(subnet: str, security_groups: list[str], *, public: bool) -> Interface:
    """Return an interface that waits for its address."""
    return Interface(ec2_id("eni"), subnet, security_groups, public)
