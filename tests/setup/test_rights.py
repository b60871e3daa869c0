"""The comparison of all tests' calls with the policy, which must not pass in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import recorded_calls
from fargate_driver.setup.policy import Features
from front_calls import MINIMAL

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


FAILS_ONCE = """
from pathlib import Path

import recorded_calls
from fargate_driver.setup.policy import Features

OPERATIONS = {names}


def test_calls():
    mark = "features-" + "0" * len(Features._fields)
    recorded_calls.keep([{{"source": mark, "operation": name}} for name in OPERATIONS])


def test_on_a_busy_machine():
    again = Path("again")
    assert again.exists() or again.touch()
"""


@pytest.mark.parametrize(
    ("names", "ends", "says"),
    [
        (["StopTask"], [1, 10], "every job allows what nothing called: DescribeTasks, RunTask"),
        (["StopTask", "ListTasks"], [10], "every job does not allow ListTasks"),
    ],
)
def test_tests_that_were_tried_again_are_compared_with_those_before(
    tmp_path: Path, names: list[str], ends: list[int], says: str
) -> None:
    """As scripts/test has it: one directory of records for both sessions."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = .\n")
    (tmp_path / "test_it.py").write_text(FAILS_ONCE.format(names=names))
    (tmp_path / "records").mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(Path(recorded_calls.__file__).parent),
        "FARGATE_TEST_RECORDED_CALLS": str(tmp_path / "records"),
    }
    found = []
    for words in ([], ["--last-failed"])[: len(ends)]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "recorded_calls", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found.append(done.returncode)
    assert found == ends, done.stdout
    assert says in done.stdout
