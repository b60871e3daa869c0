"""A job's outcome, as metrics count it, is what gitlab-runner says of the job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.metrics import outcome
from fargate_driver.metrics.results import CANCELED, LOST
from fargate_driver.runner import executor
from fargate_driver.runner.calls import Outcome, Verdict
from fargate_driver.runner.custom import Answer
from fargate_driver.runner.executor import Result, Runner, Timing
from fargate_driver.runner.job import Variable, describe
from fargate_driver.runner.variables import Place
from job_log import KeptLog

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = (
    "prepare_script",
    "get_sources",
    "restore_cache",
    "download_artifacts",
    "build_script",
    "after_script",
    "archive_cache",
    "archive_cache_on_failure",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
    "cleanup_file_variables",
)
VERDICTS = {"0": Verdict.SUCCESS, LOST: Verdict.SYSTEM_FAILURE}


class Driver:
    """A driver whose stages answer as planned; notes what it answers as the real one does."""

    def __init__(self, plan: Mapping[str, list[str]]) -> None:
        self.answer = Answer(Place("/builds", "/cache"), "bash")
        self.plan = {stage: list(results) for stage, results in plan.items()}
        self.noted: list[tuple[str, str]] = []
        self.status = ""

    async def run(self, name: str, *_: Any) -> Outcome:
        result = (self.plan.get(name) or ["0"])[0]
        if len(self.plan.get(name, [])) > 1:
            self.plan[name].pop(0)
        self.noted.append((name, result))
        return Outcome(VERDICTS.get(result, Verdict.BUILD_FAILURE), exit_code=1)

    async def config(self, *_: Any) -> Outcome:
        return Outcome(Verdict.SUCCESS)

    prepare = config

    async def cleanup(self, status: str, *_: Any) -> Outcome:
        self.status = status
        return Outcome(Verdict.SUCCESS)

    async def close(self) -> None: ...


def run(driver: Driver) -> Result:
    variables = [
        Variable(name, "2")
        for name in ("GET_SOURCES_ATTEMPTS", "RESTORE_CACHE_ATTEMPTS", "ARTIFACT_DOWNLOAD_ATTEMPTS")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "Custom", lambda *_, **__: driver)
        runner = Runner(
            (),
            describe(["true"], after_script=["true"], variables=variables),
            KeptLog(),
            environment={},
            timing=Timing(prepare_pause=0, stage_pause=0),
            scripts=lambda _: "script",
        )
        return asyncio.run(runner.run())


@given(
    st.dictionaries(
        st.sampled_from(STAGES),
        st.lists(st.sampled_from(["0", "1", "137", LOST]), min_size=1, max_size=2),
        max_size=3,
    )
)
def test_it_is_the_runners(plan: dict[str, list[str]]) -> None:
    driver = Driver(plan)
    result = run(driver)
    assert outcome.of(driver.noted, driver.status) == result.status


@pytest.mark.parametrize(
    ("stages", "status", "expected"),
    [
        # As in the calls of a real gitlab-runner: cancelled gracefully, aborted or timed out.
        ([("build_script", CANCELED), ("after_script", "0")], "canceled", outcome.CANCELED),
        ([("get_sources", "0"), ("build_script", CANCELED)], "failed", outcome.CANCELED),
        ([("build_script", "0"), ("after_script", CANCELED)], "success", outcome.SUCCESS),
        # The driver was killed: nobody noted why.
        ([("get_sources", "0")], "failed", outcome.SYSTEM_FAILURE),
        ([], "running", outcome.SYSTEM_FAILURE),
        ([], "", outcome.SYSTEM_FAILURE),
    ],
)
def test_of_jobs_that_were_stopped(
    stages: list[tuple[str, str]], status: str, expected: str
) -> None:
    assert outcome.of(stages, status) == expected
