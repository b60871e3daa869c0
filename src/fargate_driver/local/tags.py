"""Tags of ECS's resources.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html (50 of them, 128 and 256
characters, `aws:` reserved); botocore's model holds the lengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.local.api_errors import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_TAGS = 50


def from_list(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return a request's tags by their keys.

    Raises:
        ApiError: a key is missing, given twice or reserved.
    """
    result: dict[str, str] = {}
    for tag in tags:
        key = tag.get("key")
        if not key:
            raise invalid_parameter("Tag keys cannot be empty.")
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tag keys cannot start with aws:, which AWS keeps for itself.")
        if key in result:
            raise invalid_parameter("Duplicate tag keys found.")
        result[key] = tag.get("value", "")
    return result


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as ECS lists them."""
    return [{"key": key, "value": value} for key, value in tags.items()]
