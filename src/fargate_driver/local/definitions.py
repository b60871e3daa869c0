"""The operations on task definitions.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
and its siblings.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from fargate_driver.local import container_checks, fargate_checks, paging, sizes, tags
from fargate_driver.local.api_errors import ApiError, client_error, invalid_parameter
from fargate_driver.local.arns import ACCOUNT, arn, partition
from fargate_driver.local.world import Definition

if TYPE_CHECKING:
    from fargate_driver.local.world import Region, World

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


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
    containers = [container_checks.complete(given) for given in request["containerDefinitions"]]
    container_checks.check(containers, request.get("volumes", []))
    shown: dict[str, Any] = {"volumes": [], "placementConstraints": [], **request}
    shown.pop("tags", None)
    if "cpu" in shown:
        shown["cpu"] = str(sizes.cpu_units(shown["cpu"]))
    if "memory" in shown:
        shown["memory"] = str(sizes.memory_mib(shown["memory"]))
    shown["containerDefinitions"] = containers
    wants_fargate = "FARGATE" in shown.get("requiresCompatibilities", [])
    try:
        fargate_checks.check(shown)
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
