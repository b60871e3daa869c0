"""A container's own limits, when its task becomes larger or smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs.container_size import NoRoomError, fitted
from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.fargate_checks import check_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "memoryReservation"]), st.integers(6, 512)
)


def definition(own: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    containers = [{"name": "ci-coordinator", **own}]
    containers += [{"name": f"other-{n}", **other} for n, other in enumerate(others)]
    return {"cpu": "1024", "memory": "4096", "containerDefinitions": containers}


@pytest.mark.parametrize(
    ("own", "others", "size", "expected"),
    [
        ({}, [], (2048, 8192), {}),
        ({"cpu": 0, "memory": 4096}, [], (1024, 4096), {}),
        # What the rest of the task has stays what it was.
        ({"memory": 3584}, [{"memory": 512}], (1024, 8192), {"memory": 7680}),
        ({"cpu": 1024, "memory": 4096}, [], (2048, 8192), {"cpu": 2048, "memory": 8192}),
        # A guarantee is none the worse for a larger task.
        ({"memoryReservation": 1024}, [], (1024, 8192), {}),
        # Only as much smaller as needed.
        ({"memory": 512}, [], (1024, 2048), {}),
        ({"memory": 4096}, [{"memoryReservation": 500}], (1024, 2048), {"memory": 1548}),
        (
            {"memory": 4000, "memoryReservation": 3000},
            [{"memory": 900, "memoryReservation": 48}],
            (1024, 2048),
            {"memory": 2048, "memoryReservation": 2000},
        ),
        # ECS wants the limit to be greater than the reservation.
        (
            {"memory": 4000, "memoryReservation": 3000},
            [],
            (1024, 2048),
            {"memory": 2048, "memoryReservation": 2047},
        ),
        # Where the size stays, so does all of it.
        ({"memory": 4000, "memoryReservation": 1000}, [{"memory": 3000}], (1024, 4096), {}),
        ({"cpu": 1000}, [{"cpu": 24}], (256, 2048), {"cpu": 232}),
    ],
)
def test_fitted(
    own: dict[str, Any],
    others: list[dict[str, Any]],
    size: tuple[int, int],
    expected: dict[str, int],
) -> None:
    assert fitted(definition(own, *others), "ci-coordinator", *size) == expected


def test_no_room() -> None:
    with pytest.raises(NoRoomError, match=r"of 2048 MiB the other containers .* take 4000"):
        fitted(definition({"memory": 96}, {"memory": 4000}), "ci-coordinator", 1024, 2048)


def test_a_definition_for_ec2_has_no_size() -> None:
    assert fitted({"containerDefinitions": []}, "ci-coordinator", 1024, 2048) == {}


@given(
    own=st.fixed_dictionaries({"cpu": st.integers(1, 1024), "memory": st.integers(6, 4096)}),
    reserved=st.none() | st.integers(1, 4096),
    others=st.lists(LIMITS, max_size=2),
    cpu=st.integers(1, 4096),
    memory=st.integers(6, 8192),
)
def test_ecs_takes_what_is_fitted(
    own: dict[str, int],
    reserved: int | None,
    others: list[dict[str, int]],
    cpu: int,
    memory: int,
) -> None:
    if reserved:
        own["memoryReservation"] = min(reserved, own["memory"] - 1)
    given = definition(own, *others)
    first, *rest = [{"cpu": 0, **one} for one in given["containerDefinitions"]]
    try:
        check_shares([first, *rest], 1024, 4096)
        changed = fitted(given, "ci-coordinator", cpu, memory)
        check_shares(rest, cpu, memory)
    except (ApiError, NoRoomError):
        return  # no such definition, or nothing that one container could change
    check_shares([first | changed, *rest], cpu, memory)
