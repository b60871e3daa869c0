"""The operations on CloudWatch Logs that read what containers have written.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
and https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from fargate_driver.local.api_errors import ApiError, invalid_parameter
from fargate_driver.local.arns import arn

if TYPE_CHECKING:
    from fargate_driver.local.log_streams import Event, Stream
    from fargate_driver.local.world import Region, World

_MOST_EVENTS = 10_000  # of one call
_MOST_STREAMS = 50  # of one call
_TOKEN = re.compile(r"([fb])/([0-9]{1,15})")


def get_log_events(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetLogEvents: the latest, or from the head, or on from a token; the same token at the end."""
    stream = _group(world, region, request).get(request["logStreamName"])
    if stream is None:
        raise _not_found("stream")
    after, before = request.get("startTime", 0), request.get("endTime", math.inf)
    events = [one for one in stream.events if after <= one.timestamp < before]
    first, following = _bounds(request, events, stream)
    chosen = [one for one in events if first <= one.number < following]
    return {
        "events": [
            {"timestamp": one.timestamp, "ingestionTime": one.timestamp, "message": one.message}
            for one in chosen
        ],
        "nextForwardToken": f"f/{chosen[-1].number + 1 if chosen else following}",
        "nextBackwardToken": f"b/{chosen[0].number if chosen else first}",
    }


def describe_log_streams(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeLogStreams: by name, or by the time of the last line."""
    prefix = request.get("logStreamNamePrefix", "")
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
    streams = [
        one for one in _group(world, region, request).values() if one.name.startswith(prefix)
    ]
    streams.sort(
        key=lambda one: (_last(one) if by_time else 0, one.name),
        reverse=request.get("descending", False),
    )
    limit = _limit(request, _MOST_STREAMS)
    token = request.get("nextToken", "0")
    if not (token.isascii() and token.isdigit() and len(token) <= 9):
        raise invalid_parameter("The specified nextToken is invalid.")
    start = int(token)
    group = _group_name(request)
    answer: dict[str, Any] = {
        "logStreams": [_shown(one, region.name, group) for one in streams[start : start + limit]]
    }
    if start + limit < len(streams):
        answer["nextToken"] = str(start + limit)
    return answer


def _bounds(request: dict[str, Any], events: list[Event], stream: Stream) -> tuple[int, int]:
    """Return the number of the first event to show, and that of the first after them."""
    limit = _limit(request, _MOST_EVENTS)
    end = stream.events[-1].number + 1 if stream.events else 0
    head = events[0].number if events else end
    token = request.get("nextToken")
    if token is not None:
        match = _TOKEN.fullmatch(token)
        if not match:
            raise invalid_parameter("The specified nextToken is invalid.")
        place = int(match[2])
        if match[1] == "b":
            return max(place - limit, 0), place
        # What was forgotten meanwhile must not make a page look like the end.
        first = max(place, head)
        return first, max(first, min(first + limit, end))
    if request.get("startFromHead"):
        return head, head + limit
    last = events[-1].number + 1 if events else end
    return max(last - limit, 0), last


def _limit(request: dict[str, Any], most: int) -> int:
    limit = request.get("limit", most)
    if not 1 <= limit <= most:
        raise invalid_parameter(f"limit must be between 1 and {most}.")
    return int(limit)


def _group_name(request: dict[str, Any]) -> str:
    name: str | None = request.get("logGroupName")
    identifier: str | None = request.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise invalid_parameter("Give either logGroupName or logGroupIdentifier.")
    return name or str(identifier).rpartition(":log-group:")[2].removesuffix(":*")


def _group(world: World, region: Region, request: dict[str, Any]) -> dict[str, Stream]:
    group = world.logs.group(region.name, _group_name(request))
    if group is None:
        raise _not_found("group")
    return group


def _last(stream: Stream) -> int:
    return stream.events[-1].timestamp if stream.events else 0


def _shown(stream: Stream, region: str, group: str) -> dict[str, Any]:
    shown = {
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "arn": arn("logs", region, f"log-group:{group}:log-stream:{stream.name}"),
        "storedBytes": 0,  # always so for streams, since 2019
    }
    if stream.events:
        shown["firstEventTimestamp"] = stream.events[0].timestamp
        shown["lastEventTimestamp"] = shown["lastIngestionTime"] = _last(stream)
    return shown


def _not_found(what: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"The specified log {what} does not exist.")
