"""A container's own limits, where its task gets another size than its definition says.

Where a container has limits of its own, a larger task is of no use to it unless they grow as well;
and ECS starts no task that is smaller than the sum of its containers. Source:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.ecs.sizes import amount
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST_MEMORY = 6
"""MiB (API_ContainerDefinition, memory)."""


class NoRoomError(DriverError):
    """The other containers of a task leave nothing of it."""


def fitted(definition: Mapping[str, Any], name: str, cpu: int, memory: int) -> dict[str, int]:
    """Make a container's limits fit another size of its task.

    In a larger task they grow by what the task grows. In a smaller one they become smaller only as
    far as needed.

    Args:
        definition: The task definition, as DescribeTaskDefinition shows it.
        name: The container.
        cpu: CPU units of the task.
        memory: MiB of the task.

    Returns:
        Those of `cpu`, `memory` and `memoryReservation` that change.

    Raises:
        NoRoomError: The other containers need all of the task.
    """
    own: Mapping[str, Any] = {}
    others = []
    for container in definition.get("containerDefinitions", ()):
        if container.get("name") == name:
            own = container
        else:
            others.append(container)
    found: dict[str, int] = {}
    if limit := own.get("cpu"):
        taken = sum(other.get("cpu") or 0 for other in others)
        found["cpu"] = _limit(limit, definition.get("cpu"), cpu, cpu - taken)
        if found["cpu"] < 1:
            raise _no_room(name, "CPU units", cpu, taken)
    taken = sum(other.get("memoryReservation") or other.get("memory") or 0 for other in others)
    room = memory - taken
    reserved = own.get("memoryReservation")
    if limit := own.get("memory"):
        # Where there is a reservation, the limit is no part of the sum.
        most = memory if reserved else room
        found["memory"] = _limit(limit, definition.get("memory"), memory, most)
        if reserved and found["memory"] != limit:
            # ECS wants the limit to be greater than the reservation (API_ContainerDefinition).
            room = min(room, found["memory"] - 1)
    if reserved:
        found["memoryReservation"] = min(reserved, room)
    if room < _LEAST_MEMORY and found.keys() - {"cpu"}:
        raise _no_room(name, "MiB", memory, taken)
    return {key: value for key, value in found.items() if value != own[key]}


def _limit(own: int, before: object, after: int, room: int) -> int:
    growth = after - (amount(before) or after)
    return own + growth if growth > 0 else min(own, room)


def _no_room(name: str, unit: str, size: int, taken: int) -> NoRoomError:
    return NoRoomError(
        f"of {size} {unit} the other containers of the task definition take {taken}, which leaves"
        f" too little for {name}"
    )
