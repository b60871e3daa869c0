"""What ECS fills in and refuses in the containers of a task definition.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html and
the pages it leads to; the words of refusals, where AWS's are known, are from reports of its users.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from fargate_driver.local.api_errors import client_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MOST_CONTAINERS = 10
_HEALTH_CHECK = {"interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0}
_HEALTH_BOUNDS = {
    "interval": (5, 300),
    "timeout": (2, 60),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}


def complete(given: dict[str, Any]) -> dict[str, Any]:
    """Return a container definition with what ECS fills in."""
    ports = [
        {"protocol": "tcp", "hostPort": port.get("containerPort", 0), **port}
        for port in given.get("portMappings", [])
    ]
    defaults = {"cpu": 0, "essential": True, "environment": [], "mountPoints": []}
    completed = {
        **defaults,
        "volumesFrom": [],
        "systemControls": [],
        **given,
        "portMappings": ports,
    }
    if "healthCheck" in given:
        completed["healthCheck"] = _HEALTH_CHECK | given["healthCheck"]
    return completed


def check(containers: Sequence[Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what is wrong on every launch type.

    Args:
        containers: What `complete` returned.
        volumes: The definition's.

    Raises:
        ApiError: ClientException.
    """
    if not containers:
        raise client_error("Container list cannot be empty.")
    if len(containers) > _MOST_CONTAINERS:
        raise client_error("Too many containers.")
    for container in containers:
        _check_one(container)
    names = [container["name"] for container in containers]
    if len(set(names)) != len(names):
        raise client_error("Container names should be unique.")
    if not any(container["essential"] for container in containers):
        raise client_error("At least one container of a task definition must be essential.")
    _check_volumes(containers, volumes)
    _check_dependencies({container["name"]: container for container in containers})


def _check_one(container: Mapping[str, Any]) -> None:
    for key in ("name", "image"):
        if not container.get(key):
            raise client_error(f"Container.{key} should not be null or empty.")
    if not _NAME.fullmatch(container["name"]):
        raise client_error("Container.name contains invalid characters.")
    for variable in container["environment"]:
        if not variable.get("name"):
            raise client_error("Environment variable names should not be null or empty.")
    health_check = container.get("healthCheck")
    if health_check:
        kind, *rest = health_check["command"] or [""]
        if not (kind == "NONE" or (kind in {"CMD", "CMD-SHELL"} and rest)):
            raise client_error("The health check command must be CMD or CMD-SHELL and a command.")
        for key, (least, most) in _HEALTH_BOUNDS.items():
            if not least <= health_check[key] <= most:
                raise client_error(f"The health check {key} must be between {least} and {most}.")


def _check_volumes(
    containers: Sequence[Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]]
) -> None:
    names = [volume.get("name", "") for volume in volumes]
    for name in names:
        if not _NAME.fullmatch(name):
            raise client_error("Volume.name contains invalid characters.")
    if len(set(names)) != len(names):
        raise client_error("Volume names should be unique.")
    for container in containers:
        for mount in container["mountPoints"]:
            if mount.get("sourceVolume") not in names:
                raise client_error(f"Unknown volume '{mount.get('sourceVolume')}'.")
            if not mount.get("containerPath", "").startswith("/"):
                raise client_error("Mount points need an absolute containerPath.")


def _check_dependencies(containers: Mapping[str, Mapping[str, Any]]) -> None:
    for name, container in containers.items():
        for dependency in container.get("dependsOn", []):
            other = containers.get(dependency["containerName"])
            if other is None:
                raise client_error(
                    f"Container '{name}' depends on unknown container "
                    f"'{dependency['containerName']}'."
                )
            if dependency["condition"] in {"SUCCESS", "COMPLETE"} and other["essential"]:
                raise client_error(
                    "A dependency container with SUCCESS or COMPLETE condition cannot be an "
                    "essential container"
                )
            if dependency["condition"] == "HEALTHY" and not other.get("healthCheck"):
                raise client_error(
                    "A dependency container with HEALTHY condition must have a health check."
                )
    graph = {
        name: [one["containerName"] for one in container.get("dependsOn", [])]
        for name, container in containers.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        path = " -> ".join(error.args[1])
        raise client_error(f"There is a circular dependency of containers: {path}") from None
