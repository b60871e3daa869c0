from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs.plan import TRIES, Plan
from fargate_driver.settings import Capacity

SPOT = Capacity.model_validate({"Provider": "FARGATE_SPOT"})
ON_DEMAND = Capacity.model_validate({"LaunchType": "FARGATE", "Name": "on demand"})


def test_missing_capacity_goes_down_the_list_and_begins_again() -> None:
    plan = Plan([SPOT, ON_DEMAND])
    used = [str(plan)]
    pauses = []
    while (pause := plan.next(elsewhere=True)) is not None:
        used.append(str(plan))
        pauses.append(pause)
    assert used == ["FARGATE_SPOT", "on demand"] * TRIES
    # The next in the list costs no time; the same one again does, each time more.
    assert pauses[0] == 0
    assert pauses[1] > 0


def test_a_start_that_failed_by_chance_is_tried_where_it_was() -> None:
    plan = Plan([SPOT, ON_DEMAND])
    used = [str(plan)]
    while plan.next(elsewhere=False) is not None:
        used.append(str(plan))
    assert used == ["FARGATE_SPOT"] * TRIES + ["on demand"] * TRIES


def test_without_a_list_the_cluster_decides() -> None:
    plan = Plan([])
    assert plan.capacity is None
    assert str(plan) == "the cluster's default capacity"


@given(
    st.integers(1, 5),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_any_course_ends(count: int, course: list[bool]) -> None:
    plan = Plan([Capacity.model_validate({"Provider": f"p{n}"}) for n in range(count)])
    used = [str(plan)]
    for elsewhere in course:
        pause = plan.next(elsewhere=elsewhere)
        if pause is None:
            break
        assert 0 <= pause <= 60
        used.append(str(plan))
    assert len(used) == count * TRIES
    assert all(used.count(name) == TRIES for name in used)
