"""Every kind of fault in every phase of a job: the verdict, what is said, what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults.in_connect import CONNECT
from faults.in_jobs import JOBS
from faults.in_launch import LAUNCH
from faults.in_wait import WAIT
from faults.play import TIME_SCALE, play
from local_fargate import LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from faults.case import Case

CASES = (*JOBS, *CONNECT, *WAIT, *LAUNCH)


LONG = {"stage-why-denied", "stage-why-unknown", "between-network-silent-and-ssh-gone"}


def _parameter(case: Case) -> ParameterSet:
    name = f"{case.strikes}-{case.name}"
    return pytest.param(case, id=name, marks=[pytest.mark.long] if name in LONG else [])


@pytest.fixture(scope="module")
def fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    scale = ("--time-scale", str(TIME_SCALE))
    with local_fargate(tmp_path_factory.mktemp("f") / "l", runtime="process", options=scale) as it:
        yield it


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_fault(case: Case, fargate: LocalFargate, tmp_path: Path) -> None:
    played = play(case, fargate, tmp_path)
    assert (played.result, played.script_code) == (case.result, case.script_code), played.log
    assert played.cleanup == case.cleanup, played.log
    fewest, most = case.tasks if isinstance(case.tasks, tuple) else (case.tasks, case.tasks)
    assert fewest <= len(played.tasks) <= most, played.log
    assert any(_tells(line, case) for line in played.log.splitlines()), played.log
    assert "Traceback" not in played.log
    assert ".. " not in played.log
    fargate.assert_nothing_left()


def _tells(line: str, case: Case) -> bool:
    """Whether a line holds the case's phrases, in order, and its verdict."""
    if case.verdict and f"[{case.verdict}]" not in line:
        return False
    for phrase in case.says:
        _, found, line = line.partition(phrase)
        if not found:
            return False
    return True


def test_cases_have_names_of_their_own() -> None:
    names = [(case.strikes, case.name) for case in CASES]
    assert len(set(names)) == len(names) >= 60
    assert all(case.source.startswith("https://") for case in CASES)
