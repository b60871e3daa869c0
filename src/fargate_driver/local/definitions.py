"""The operations on task definitions.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
and its siblings; what Fargate refuses:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from fargate_driver.local import paging, sizes, tags
from fargate_driver.local.api_errors import ApiError, client_error, invalid_parameter
from fargate_driver.local.arns import ACCOUNT, arn, partition
from fargate_driver.local.world import Definition

if TYPE_CHECKING:
    from fargate_driver.local.world import Region, World

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_LONGEST_STOP_TIMEOUT = 120  # seconds, on Fargate
_EPHEMERAL_GIB = range(21, 200 + 1)


def register(_world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """RegisterTaskDefinition: adds a revision to a family."""
    return _answer(add(region, request), with_tags=True)


def add(region: Region, request: dict[str, Any]) -> Definition:
    """Add a revision to a family.

    Raises:
        ApiError: the definition is one that ECS would refuse.
    """
    family = request["family"]
    if not _NAME.fullmatch(family):
        raise client_error("Family contains invalid characters.")
    containers = [_container(given) for given in request["containerDefinitions"]]
    _check_containers(containers)
    shown: dict[str, Any] = {"volumes": [], "placementConstraints": [], **request}
    shown.pop("tags", None)
    if "cpu" in shown:
        shown["cpu"] = str(sizes.cpu_units(shown["cpu"]))
    if "memory" in shown:
        shown["memory"] = str(sizes.memory_mib(shown["memory"]))
    shown["containerDefinitions"] = containers
    wants_fargate = "FARGATE" in shown.get("requiresCompatibilities", [])
    try:
        _check_fargate(shown)
    except ApiError:
        if wants_fargate:
            raise
        shown["compatibilities"] = ["EC2"]
    else:
        shown["compatibilities"] = ["EC2", "FARGATE"]
    revisions = region.families.setdefault(family, [])
    shown |= {
        "revision": len(revisions) + 1,
        "taskDefinitionArn": arn(
            "ecs", region.name, f"task-definition/{family}:{len(revisions) + 1}"
        ),
        "status": "ACTIVE",
        "registeredAt": round(time.time(), 3),
        "registeredBy": f"arn:{partition(region.name)}:iam::{ACCOUNT}:root",
    }
    definition = Definition(shown, tags.from_list(request.get("tags", [])))
    revisions.append(definition)
    return definition


def describe(_world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeTaskDefinition."""
    definition = region.find_definition(request["taskDefinition"])
    if definition is None:
        raise client_error("Unable to describe task definition.")
    return _answer(definition, with_tags="TAGS" in request.get("include", []))


def deregister(_world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeregisterTaskDefinition: the revision stays, but starts no more tasks."""
    identifier = request["taskDefinition"]
    if not identifier.rpartition(":")[2].isdigit():
        raise invalid_parameter("Revision is missing.")
    definition = region.find_definition(identifier)
    if definition is None:
        raise client_error("The specified task definition does not exist.")
    if definition.active:
        definition.shown["status"] = "INACTIVE"
        definition.shown["deregisteredAt"] = round(time.time(), 3)
    return {"taskDefinition": definition.shown}


def list_all(_world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListTaskDefinitions: the active ones unless another status is asked for."""
    status = request.get("status", "ACTIVE")
    prefix = request.get("familyPrefix")
    arns = [
        definition.arn
        for family in sorted(region.families)
        if prefix in {None, family}
        for definition in region.families[family]
        if definition.shown["status"] == status
    ]
    if request.get("sort") == "DESC":
        arns.reverse()
    return paging.page("taskDefinitionArns", arns, request)


def list_families(_world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListTaskDefinitionFamilies: those whose names begin so, and that have such revisions."""
    status = request.get("status", "ALL")
    families = [
        family
        for family, revisions in sorted(region.families.items())
        if family.startswith(request.get("familyPrefix", ""))
        and (
            status == "ALL"
            or any(definition.active for definition in revisions) == (status == "ACTIVE")
        )
    ]
    return paging.page("families", families, request)


def _answer(definition: Definition, *, with_tags: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"taskDefinition": definition.shown}
    if with_tags:
        answer["tags"] = tags.as_list(definition.tags)
    return answer


def _container(given: dict[str, Any]) -> dict[str, Any]:
    """Return a container definition with what ECS fills in."""
    ports = [
        {"protocol": "tcp", "hostPort": port.get("containerPort", 0), **port}
        for port in given.get("portMappings", [])
    ]
    defaults = {"cpu": 0, "essential": True, "environment": [], "mountPoints": []}
    return {
        **defaults,
        "volumesFrom": [],
        "systemControls": [],
        **given,
        "portMappings": ports,
    }


def _check_containers(containers: list[dict[str, Any]]) -> None:
    if not containers:
        raise client_error("Container list cannot be empty.")
    for container in containers:
        for key in ("name", "image"):
            if not container.get(key):
                raise client_error(f"Container.{key} should not be null or empty.")
        if not _NAME.fullmatch(container["name"]):
            raise client_error("Container.name contains invalid characters.")
        for variable in container["environment"]:
            if not variable.get("name"):
                raise client_error("Environment variable names should not be null or empty.")
    names = [container["name"] for container in containers]
    if len(set(names)) != len(names):
        raise client_error("Container names should be unique.")
    if not any(container["essential"] for container in containers):
        raise client_error("At least one container of a task definition must be essential.")


def _check_fargate(shown: dict[str, Any]) -> None:
    if shown.get("networkMode") != "awsvpc":
        raise client_error("Fargate only supports network mode ‘awsvpc’.")  # noqa: RUF001 - AWS's own quotes
    for key in ("cpu", "memory"):
        if key not in shown:
            raise client_error(f"Fargate requires that '{key}' be defined at the task level.")
    sizes.check_size(int(shown["cpu"]), int(shown["memory"]))
    storage = shown.get("ephemeralStorage")
    if storage and storage["sizeInGiB"] not in _EPHEMERAL_GIB:
        raise client_error("Ephemeral storage must be between 21 and 200 GiB.")
    for container in shown["containerDefinitions"]:
        if container.get("privileged"):
            raise client_error("Fargate doesn't support privileged containers.")
        if not 0 <= container.get("stopTimeout", 0) <= _LONGEST_STOP_TIMEOUT:
            raise client_error("The stopTimeout of a Fargate container is at most 120 seconds.")
        if any(port["hostPort"] != port.get("containerPort") for port in container["portMappings"]):
            raise client_error(
                "When networkMode=awsvpc, the host ports and container ports in port mappings "
                "must match."
            )
