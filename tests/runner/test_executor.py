"""What is tried again, what still runs after a failure, what a cancelled job gets."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import recording_driver
from fargate_driver.runner.calls import Grace
from fargate_driver.runner.executor import Result, Runner, Timing
from fargate_driver.runner.job import Job, Variable, describe
from fargate_driver.runner.variables import Place
from job_log import KeptLog
from recording_driver import names, plan, records

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

DRIVER = (sys.executable, recording_driver.__file__)
SHORT = Timing(prepare_pause=0.01, stage_pause=0.01)
TRY = ["config", "prepare", "cleanup"]


def job(**rest: Any) -> Job:
    return describe(["echo hello"], after_script=["echo after"], **rest)


def run(
    folder: Path,
    job: Job,
    act: Callable[[Runner, KeptLog], Coroutine[Any, Any, None]] | None = None,
    *,
    place: Place | None = None,
    timing: Timing = SHORT,
    **told: dict[str, Any],
) -> tuple[Result, KeptLog]:
    async def go() -> tuple[Result, KeptLog]:
        log = KeptLog()
        runner = Runner(
            DRIVER,
            job,
            log,
            environment=plan(folder / "calls", **told),
            place=place or Place("/builds", "/cache"),
            timing=timing,
        )
        running = asyncio.create_task(runner.run())
        if act is not None:
            await act(runner, log)
        return await running, log

    return asyncio.run(go())


def test_minimal_job_makes_seven_calls(tmp_path: Path) -> None:
    result, log = run(tmp_path, describe(["echo hello"]))
    assert result.status == "success"
    assert names(tmp_path / "calls") == [
        *("config", "prepare", "run-prepare_script", "run-get_sources", "run-build_script"),
        *("run-cleanup_file_variables", "cleanup"),
    ]
    assert log.messages[-1] == "Job succeeded"


@pytest.mark.parametrize("stage", ["config", "prepare"])
def test_system_failure_in_preparation_is_tried_three_times(tmp_path: Path, stage: str) -> None:
    told: dict[str, Any] = {stage: {"exit": 2}}
    result, _ = run(tmp_path, job(), **told)
    assert result.status == "system_failure"
    assert result.exit_code is None
    once = TRY if stage == "prepare" else ["config", "cleanup"]
    assert names(tmp_path / "calls") == 3 * once
    tmpdirs = [r.env["TMPDIR"] for r in records(tmp_path / "calls") if r.name == "config"]
    assert len(set(tmpdirs)) == 3
    assert not [tmpdir for tmpdir in tmpdirs if Path(tmpdir).exists()]


def test_preparation_that_works_the_second_time(tmp_path: Path) -> None:
    result, _ = run(tmp_path, job(), prepare={"exits": [3, 0]})
    assert result.status == "success"
    assert names(tmp_path / "calls")[:5] == [*TRY, "config", "prepare"]


def test_build_failure_in_preparation_is_not_tried_again(tmp_path: Path) -> None:
    result, _ = run(tmp_path, job(), prepare={"exit": 1})
    assert (result.status, result.exit_code) == ("script_failure", 1)
    assert names(tmp_path / "calls") == TRY


@pytest.mark.parametrize(
    ("answer", "tries"),
    [("{", 3), ("[]", 3), ('{"builds_dir": 3}', 3), ('{"shell": "pwsh"}', 1)],
)
def test_useless_answer_of_config(tmp_path: Path, answer: str, tries: int) -> None:
    result, _ = run(tmp_path, job(), config={"stdout": answer})
    assert result.status == "system_failure"
    assert names(tmp_path / "calls") == tries * ["config", "cleanup"]


def test_unknown_builds_dir_is_not_tried_again(tmp_path: Path) -> None:
    result, _ = run(tmp_path, job(), place=Place())
    assert "builds_dir is not configured" in result.reason
    assert names(tmp_path / "calls") == ["config", "cleanup"]


def test_config_sets_place_environment_and_shell(tmp_path: Path) -> None:
    answer = {
        "builds_dir": "/elsewhere",
        "builds_dir_is_shared": True,
        "job_env": {"GREETING": "hi"},
        "shell": "sh",
    }
    run(tmp_path, job(), config={"stdout": json.dumps(answer)})
    config, prepare, script, *_ = records(tmp_path / "calls")
    assert "GREETING" not in config.env
    assert prepare.env["GREETING"] == "hi"
    project_dir = "/elsewhere/fake00000/0/group/project"
    assert prepare.env["CUSTOM_ENV_CI_PROJECT_DIR"] == project_dir
    assert script.script.startswith("#!/usr/bin/env sh\n")


def test_failed_prepare_script_leaves_only_cleanup(tmp_path: Path) -> None:
    result, _ = run(tmp_path, job(), prepare_script={"exit": 1})
    assert result.status == "script_failure"
    assert names(tmp_path / "calls") == ["config", "prepare", "run-prepare_script", "cleanup"]


def test_failed_sources_skip_script_and_after_script(tmp_path: Path) -> None:
    attempts = [Variable("GET_SOURCES_ATTEMPTS", "3")]
    result, _ = run(tmp_path, job(variables=attempts), get_sources={"exit": 1})
    assert result.status == "script_failure"
    again = ["run-clear_worktree", "run-get_sources"]
    assert names(tmp_path / "calls")[3:] == [
        *("run-get_sources", *again, *again),
        *("run-cleanup_file_variables", "cleanup"),
    ]


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ({"exit": 1}, "script_failure", 1),
        ({"exit": 1, "code": "137"}, "script_failure", 137),
        ({"exit": 1, "code": "300\nmore"}, "script_failure", 300),
        ({"exit": 1, "code": "seven"}, "system_failure", None),
        ({"exit": 1, "code": ""}, "system_failure", None),
        ({"exit": 2, "code": "7"}, "system_failure", None),
        ({"exit": 99}, "system_failure", None),
    ],
)
def test_failed_script(tmp_path: Path, told: dict[str, Any], status: str, code: int | None) -> None:
    result, _ = run(tmp_path, job(), build_script=told)
    assert (result.status, result.exit_code) == (status, code)
    assert names(tmp_path / "calls")[4:] == [
        *("run-build_script", "run-after_script", "run-cleanup_file_variables", "cleanup")
    ]
    assert records(tmp_path / "calls")[5].env["CUSTOM_ENV_CI_JOB_STATUS"] == "failed"


def test_stale_code_file_is_believed(tmp_path: Path) -> None:
    """As gitlab-runner does: a driver has to remove it."""
    result, _ = run(tmp_path, job(), get_sources={"code": "9"}, build_script={"exit": 1})
    assert result.exit_code == 9


def test_failed_cleanup_changes_nothing(tmp_path: Path) -> None:
    result, log = run(tmp_path, job(), cleanup={"exit": 1, "stdout": "out", "stderr": "err"})
    assert result.status == "success"
    assert "WARNING: Cleanup script failed: exit status 1" in log.messages
    assert log.cleanup_errors == b"err"
    assert "out" not in log.text


def test_failed_after_script_changes_nothing(tmp_path: Path) -> None:
    result, _ = run(tmp_path, job(), after_script={"exit": 1})
    assert result.status == "success"


def test_failed_upload_fails_the_job(tmp_path: Path) -> None:
    artifacts = [{"name": "a", "paths": ["out"], "when": "on_success"}]
    result, _ = run(tmp_path, job(artifacts=artifacts), upload_artifacts_on_success={"exit": 1})
    assert result.status == "script_failure"


def test_artifacts_and_cache_of_a_failed_job(tmp_path: Path) -> None:
    artifacts = [{"name": "a", "paths": ["out"], "when": "always"}]
    cache = [{"key": "k", "paths": ["p"], "when": "on_failure"}]
    run(tmp_path, job(artifacts=artifacts, cache=cache), build_script={"exit": 1})
    assert names(tmp_path / "calls")[-4:] == [
        *("run-archive_cache_on_failure", "run-upload_artifacts_on_failure"),
        *("run-cleanup_file_variables", "cleanup"),
    ]


def test_what_holds_the_output_delays_the_call(tmp_path: Path) -> None:
    result, _ = run(tmp_path, describe(["true"]), build_script={"background": 2})
    assert result.status == "success"
    assert result.phases["build_script"] >= 2


def test_deaf_call_is_killed_and_cleanup_follows(tmp_path: Path) -> None:
    async def abort(runner: Runner, log: KeptLog) -> None:
        await log.shows("sleeping")
        runner.abort()

    timing = Timing(grace=Grace(graceful=0.5))
    told = {"sleep": 60, "deaf": True}
    result, _ = run(tmp_path, job(), abort, timing=timing, build_script=told)
    assert result.status == "canceled"
    assert list((tmp_path / "calls").glob("*-run-build_script"))
    assert names(tmp_path / "calls")[-2:] == ["run-get_sources", "cleanup"]


def test_second_abort_kills_at_once(tmp_path: Path) -> None:
    async def abort(runner: Runner, log: KeptLog) -> None:
        await log.shows("sleeping")
        runner.abort()
        await asyncio.sleep(0.2)
        runner.abort()

    begin = time.monotonic()
    run(tmp_path, job(), abort, build_script={"sleep": 300, "deaf": True})
    assert time.monotonic() - begin < 120


@pytest.mark.parametrize("how", ["abort", "cancel"])
def test_abort_in_prepare_cleans_up_once_and_tries_no_more(tmp_path: Path, how: str) -> None:
    async def act(runner: Runner, log: KeptLog) -> None:
        await log.shows("sleeping")
        getattr(runner, how)()

    result, _ = run(tmp_path, job(), act, prepare={"sleep": 60})
    assert result.status == "canceled"
    assert names(tmp_path / "calls") == TRY


def test_job_timeout(tmp_path: Path) -> None:
    result, _ = run(tmp_path, job(timeout=8), build_script={"sleep": 60})
    assert (result.status, result.reason) == ("script_failure", "job_execution_timeout")
    assert names(tmp_path / "calls")[4:] == ["run-build_script", "cleanup"]


def test_driver_that_cannot_be_started(tmp_path: Path) -> None:
    async def go() -> Result:
        runner = Runner(
            (str(tmp_path / "missing"),), job(), KeptLog(), environment={}, timing=SHORT
        )
        return await runner.run()

    result = asyncio.run(go())
    assert result.status == "system_failure"
    assert "cannot start the driver" in result.reason
