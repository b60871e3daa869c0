"""What Fargate refuses in a task definition, beyond what ECS does everywhere.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html; the
words of refusals, where AWS's are known, are from reports of its users.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fargate_driver.local import sizes
from fargate_driver.local.api_errors import client_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EPHEMERAL_GIB = range(21, 200 + 1)
_LEAST_MEMORY = 6  # MiB
_LONGEST_TIMEOUT = 120  # seconds
_LEAST_START_TIMEOUT = 2  # seconds
_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr\.")


def check(definition: Mapping[str, Any]) -> None:
    """Refuse a definition that can't run on Fargate.

    Args:
        definition: As DescribeTaskDefinition shows it.

    Raises:
        ApiError: ClientException.
    """
    if definition.get("networkMode") != "awsvpc":
        raise client_error("Fargate only supports network mode ‘awsvpc’.")  # noqa: RUF001 - AWS's own quotes
    for key in ("cpu", "memory"):
        if key not in definition:
            raise client_error(f"Fargate requires that '{key}' be defined at the task level.")
    sizes.check_size(int(definition["cpu"]), int(definition["memory"]))
    check_shares(definition["containerDefinitions"], definition["cpu"], definition["memory"])
    check_storage(definition.get("ephemeralStorage"))
    for container in definition["containerDefinitions"]:
        _check_container(container)
        _check_execution_role(container, definition.get("executionRoleArn"))
    for volume in definition["volumes"]:
        if volume.get("host", {}).get("sourcePath") or "dockerVolumeConfiguration" in volume:
            raise client_error("Fargate supports neither host paths nor Docker volumes.")


def check_shares(
    containers: Iterable[Mapping[str, Any]], cpu: str | int, memory: str | int
) -> None:
    """Refuse containers that ask for more than their task has.

    Args:
        containers: Their definitions, RunTask's overrides merged in.
        cpu: The task's CPU units.
        memory: The task's MiB.

    Raises:
        ApiError: ClientException.
    """
    total_cpu = total_memory = 0
    for container in containers:
        for key, least in (("cpu", 0), ("memory", _LEAST_MEMORY), ("memoryReservation", 0)):
            if container.get(key, least) < least:
                raise client_error(
                    f"Invalid setting for container '{container['name']}'. '{key}' must be at "
                    f"least {least}."
                )
        for key in ("memory", "memoryReservation"):
            if container.get(key, 0) > int(memory):
                raise client_error(
                    f"The '{key}' setting for container '{container['name']}' is greater than for "
                    "the task."
                )
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
        if 0 < container.get("memory", 0) <= container.get("memoryReservation", 0):
            raise client_error(
                f"Invalid setting for container '{container['name']}'. 'memory' must be greater "
                "than 'memoryReservation'."
            )
        total_cpu += container["cpu"]
        total_memory += container.get("memoryReservation", container.get("memory", 0))
    for key, total, most in (("cpu", total_cpu, cpu), ("memory", total_memory, memory)):
        if total > int(most):
            raise client_error(
                f"The sum of all container '{key}' values cannot be greater than the value of the "
                f"task '{key}'."
            )


def check_storage(storage: Mapping[str, Any] | None) -> None:
    """Refuse sizes of ephemeral storage that Fargate doesn't have.

    Raises:
        ApiError: ClientException.
    """
    if storage and storage["sizeInGiB"] not in _EPHEMERAL_GIB:
        raise client_error("Ephemeral storage must be between 21 and 200 GiB.")


def _check_container(container: Mapping[str, Any]) -> None:
    if container.get("privileged"):
        raise client_error("Fargate doesn't support privileged containers.")
    for key, least in (("stopTimeout", 0), ("startTimeout", _LEAST_START_TIMEOUT)):
        if not least <= container.get(key, least) <= _LONGEST_TIMEOUT:
            raise client_error(f"The {key} of a Fargate container is at most 120 seconds.")
    if any(port["hostPort"] != port.get("containerPort") for port in container["portMappings"]):
        raise client_error(
            "When networkMode=awsvpc, the host ports and container ports in port mappings "
            "must match."
        )


def _check_execution_role(container: Mapping[str, Any], role: str | None) -> None:
    if role:
        return
    if container.get("secrets"):
        raise client_error(
            "When you are specifying container secrets, you must also specify a value for "
            "'executionRoleArn'."
        )
    wants = None
    if _ECR.match(container["image"]):
        wants = "ECR images"
    elif container.get("repositoryCredentials"):
        wants = "repository credentials"
    elif container.get("logConfiguration", {}).get("logDriver") == "awslogs":
        wants = "log driver awslogs"
    if wants:
        raise client_error(
            f"Fargate requires task definition to have execution role ARN to support {wants}."
        )
