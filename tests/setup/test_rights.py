"""The comparison of all tests' calls with the policy, which must not pass in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import recorded_calls
from fargate_driver.setup.policy import Features
from front_calls import MINIMAL

if TYPE_CHECKING:
    from pathlib import Path

BASE = Features()
ALONE = [Features(**{name: True}) for name in Features._fields if name != "prune"]
PRUNE = Features(images=True, prune=True)


def test_a_call_beyond_the_policy_is_named() -> None:
    found = {BASE: {"RunTask", "ListTasks"}, Features(images=True): {"RegisterTaskDefinition"}}
    assert recorded_calls.beyond(found) == ["the policy of every job does not allow ListTasks"]


def test_an_action_that_nothing_called_is_named() -> None:
    complaints = recorded_calls.unused({})
    assert len(complaints) == 2 + len(Features._fields)
    assert complaints[0].endswith("what nothing called: DescribeTasks, RunTask, StopTask")
    found = {one: recorded_calls.operations(one) for one in (BASE, *ALONE, PRUNE)}
    assert recorded_calls.unused(found) == []
    found[Features(logs=True)] -= {"GetLogEvents"}
    assert [line.partition(" allows ")[0] for line in recorded_calls.unused(found)] == [
        "the policy of logs",
        f"the policy of {' and '.join(Features._fields)}",
    ]


def test_calls_are_known_by_what_their_configuration_needs(tmp_path: Path) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text(MINIMAL + '[Fargate.Tags]\nteam = "ci"\n')
    mark = recorded_calls.mark(config, "reap")
    call = {"operation": "ListTasks", "source": mark["AWS_SDK_UA_APP_ID"]}
    found = recorded_calls.recorded([call, {"operation": "RunTask", "source": "driver"}])
    assert found == {Features(tags=True, wide_reap=True): {"ListTasks"}}
    config.write_text("nonsense")
    assert recorded_calls.mark(config) == {}
