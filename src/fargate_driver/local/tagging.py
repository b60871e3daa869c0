"""TagResource and its siblings.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TagResource.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.local import tags
from fargate_driver.local.api_errors import ApiError, invalid_parameter

if TYPE_CHECKING:
    from fargate_driver.local.world import Region, World


def tag(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """TagResource: adds tags, and replaces those with the same keys."""
    existing = _tags_of(world, region, request["resourceArn"])
    added = tags.from_list(request["tags"])
    if len(existing | added) > tags.MOST_TAGS:
        raise ApiError("LimitExceededException", "A resource can have up to 50 tags.")
    existing.update(added)
    return {}


def untag(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """UntagResource: keys that aren't there are no mistake."""
    existing = _tags_of(world, region, request["resourceArn"])
    for key in request["tagKeys"]:
        existing.pop(key, None)
    return {}


def list_tags(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"tags": tags.as_list(_tags_of(world, region, request["resourceArn"]))}


def _tags_of(world: World, region: Region, resource: str) -> dict[str, str]:
    if not resource.startswith("arn:"):
        raise invalid_parameter("The specified resource ARN is invalid.")
    task = world.tasks.get(resource.rpartition("/")[2])
    if task and task.arn == resource:
        return task.tags
    for cluster in region.clusters.values():
        if cluster.arn == resource:
            return cluster.tags
    definition = region.find_definition(resource)
    if definition and definition.arn == resource:
        return definition.tags
    raise ApiError("ResourceNotFoundException", "The specified resource was not found.")
