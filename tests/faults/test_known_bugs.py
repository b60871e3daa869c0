"""docs/known-bugs.md: each bug of others is shown not to happen here, or can't for a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fargate_driver
from driver_calls import JobCalls
from faults.test_matrix import CASES
from local_fargate import LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BUGS = [
    [cell.strip() for cell in line.strip("| \n").split(" | ")]
    for line in (ROOT / "docs" / "known-bugs.md").read_text().splitlines()
    if re.match(r"\| \d", line)
]
SECRET = "glpat-not-a-real-one"


@pytest.fixture(scope="module")
def fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("f") / "l", runtime="process") as running:
        yield running


@pytest.fixture(scope="module")
def seen(fargate: LocalFargate, tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that AWS is asked, and shows, of a job with a secret."""
    job = JobCalls(tmp_path_factory.mktemp("job"), fargate.config, 4711, token=SECRET)
    job.environment["CUSTOM_ENV_DEPLOY_TOKEN"] = SECRET
    try:
        assert job.call("prepare").returncode == 0
        script = job.script(f"DEPLOY_TOKEN={SECRET}; echo $DEPLOY_TOKEN")
        assert SECRET in job.call("run", script, "build_script").stdout
    finally:
        assert job.call("cleanup").returncode == 0
    fargate.assert_nothing_left()
    return json.dumps(fargate.tasks())


def test_all_bugs_are_there() -> None:
    assert [int(number) for number, *_ in BUGS] == list(range(1, 35))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"bug-{bug[0]}")
def test_each_has_a_test_or_a_reason(bug: list[str]) -> None:
    _, title, does, *shown = bug
    assert re.search(r"\]\(https://[^)\s]+\)", title), title
    cases = {f"{case.strikes}-{case.name}" for case in CASES}
    found = re.findall(r"`([^`]+)`", shown[0]) if shown else []
    assert found or does.startswith("can't happen: "), bug
    for name in found:
        path, _, test = name.partition("::")
        if test:
            text = (ROOT / path).read_text()
            assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), name
        else:
            assert name in cases, name


@pytest.mark.usefixtures("seen")
def test_a_job_needs_three_operations_of_aws(fargate: LocalFargate) -> None:
    # Bugs 1, 2 and 34: no task definition is registered, described or listed.
    operations = {call["operation"] for call in fargate.calls()}
    assert operations == {"RunTask", "DescribeTasks", "StopTask"}


def test_no_secret_is_in_what_aws_shows(seen: str) -> None:
    # Bug 31.
    assert SECRET not in seen
    assert "PRIVATE KEY" not in seen
    (task,) = json.loads(seen)
    (override,) = task["overrides"]["containerOverrides"]
    assert [variable["name"] for variable in override["environment"]] == ["SSH_PUBLIC_KEY"]


def test_no_waiter_of_the_sdk_is_used() -> None:
    # Bug 25.
    sources = Path(fargate_driver.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "waiter" in path.read_text()] == []
