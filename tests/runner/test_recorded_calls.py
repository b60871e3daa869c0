"""The stand-in sends what a real gitlab-runner 19.4 sent, for the six recorded jobs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import recording_driver
from fargate_driver.runner.executor import Result, Runner
from fargate_driver.runner.job import Job
from fargate_driver.runner.variables import Place
from job_log import KeptLog
from recording_driver import Recorded, names, plan, records

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runner-calls"
DRIVER = (sys.executable, recording_driver.__file__)
JOBS = sorted(path.name for path in FIXTURES.iterdir())
FROM_THE_RUNNER = {
    "TMPDIR",
    "BUILD_FAILURE_EXIT_CODE",
    "SYSTEM_FAILURE_EXIT_CODE",
    "BUILD_EXIT_CODE_FILE",
    "JOB_RESPONSE_FILE",
}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Result]]:
    """Each recorded job, run once with the recording driver: its records and its result."""

    async def run_all() -> dict[str, tuple[Path, Result]]:
        folders = {job: tmp_path_factory.mktemp(job) for job in JOBS}
        results = await asyncio.gather(*(replay(job, folders[job]) for job in JOBS))
        return {job: (folders[job], result) for job, result in zip(JOBS, results, strict=True)}

    return asyncio.run(run_all())


async def replay(name: str, folder: Path) -> Result:
    recorded = records(FIXTURES / name)
    told: dict[str, dict[str, Any]] = {
        "config": {
            "stdout": json.dumps(
                {
                    "driver": {"name": "rig", "version": "1"},
                    "hostname": f"rig-{recorded[0].env['CUSTOM_ENV_CI_JOB_ID']}",
                    "builds_dir": "/builds",
                    "cache_dir": "/cache",
                }
            )
        }
    }
    if name == "script-exits-7":
        told["build_script"] = {"exit": 1, "code": "7"}
    if name in ("aborted", "cancelled-gracefully"):
        told["build_script"] = {"sleep": 60}
    env = recorded[0].env
    log = KeptLog()
    runner = Runner(
        DRIVER,
        Job(recorded[0].response),
        log,
        environment=plan(folder, **told),
        place=Place(
            concurrent_id=int(env["CUSTOM_ENV_CI_CONCURRENT_ID"]),
            concurrent_project_id=int(env["CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID"]),
        ),
    )
    job = asyncio.create_task(runner.run())
    if name == "aborted":
        await log.shows("sleeping")
        runner.abort()
    if name == "cancelled-gracefully":
        await log.shows("sleeping")
        runner.cancel()
    return await job


def pairs(job: str, folder: Path) -> list[tuple[Recorded, Recorded]]:
    return list(zip(records(FIXTURES / job), records(folder), strict=True))


def generalised(record: Recorded) -> dict[str, Any]:
    """The call without what differs from machine to machine."""
    tmpdir = record.env["TMPDIR"]

    def general(text: str) -> str:
        text = text.replace(tmpdir, "{TMPDIR}")
        return re.sub(r"script(\d+|[a-z0-9_]{8})(?=$|/)", "script0", text)

    call = record.call
    return {
        "argv": [general(word) for word in call["argv"] if word != "{DRIVER}"],
        "cwd": general(call["cwd"]),
        "stdin": call["stdin"],
        "process_group_leader": call["process_group_leader"],
        "script_mode": call.get("script_mode"),
        "signals": [s if isinstance(s, str) else s[0] for s in call["signals"]],
        "tmpdir_files": sorted(general(name) for name in call["tmpdir_files"]),
    }


@pytest.mark.parametrize("job", JOBS)
def test_calls_and_their_order(job: str, replayed: dict[str, tuple[Path, Result]]) -> None:
    folder, _ = replayed[job]
    assert names(folder) == names(FIXTURES / job)
    for theirs, ours in pairs(job, folder):
        assert generalised(ours) == generalised(theirs)
        assert ours.call["response_mode"] == "0o600"


@pytest.mark.parametrize("job", JOBS)
def test_environment(job: str, replayed: dict[str, tuple[Path, Result]]) -> None:
    folder, _ = replayed[job]
    for theirs, ours in pairs(job, folder):
        tmpdir = ours.env["TMPDIR"]
        sent = {
            key: value.replace(tmpdir, "{TMPDIR}")
            for key, value in ours.env.items()
            if key.startswith("CUSTOM_ENV_") or key in FROM_THE_RUNNER
        }
        assert sent == theirs.env


@pytest.mark.parametrize("job", JOBS)
def test_job_response(job: str, replayed: dict[str, tuple[Path, Result]]) -> None:
    folder, _ = replayed[job]
    (theirs, ours), *_ = pairs(job, folder)
    assert ours.response == theirs.response


def test_results(replayed: dict[str, tuple[Path, Result]]) -> None:
    results = {job: (result.status, result.exit_code) for job, (_, result) in replayed.items()}
    assert results == {
        "aborted": ("canceled", None),
        "all-stages": ("success", 0),
        "cancelled-gracefully": ("canceled", None),
        "downloads-artifacts": ("success", 0),
        "script-exits-7": ("script_failure", 7),
        "uploads-artifacts": ("success", 0),
    }


def test_temporary_directories_are_gone(replayed: dict[str, tuple[Path, Result]]) -> None:
    for folder, _ in replayed.values():
        assert not [r for r in records(folder) if Path(r.env["TMPDIR"]).exists()]


@pytest.mark.parametrize("job", JOBS)
def test_script_envelope(job: str, replayed: dict[str, tuple[Path, Result]]) -> None:
    """Everything of a script but what is inside its eval is the same, byte for byte."""
    folder, _ = replayed[job]
    for theirs, ours in pairs(job, folder):
        if theirs.name.startswith("run-"):
            assert outside_eval(ours.script) == outside_eval(theirs.script)


def outside_eval(script: str) -> tuple[str, str]:
    head, _, rest = script.partition("eval $'")
    return head, rest.rpartition("'")[2]


@pytest.mark.parametrize("job", JOBS)
def test_scripts_do_the_same(
    job: str, replayed: dict[str, tuple[Path, Result]], tmp_path: Path
) -> None:
    """Run with recording `git` and `gitlab-runner`, scripts give the same environment and calls."""
    folder, _ = replayed[job]
    compared = 0
    for theirs, ours in pairs(job, folder):
        stage = theirs.name.removeprefix("run-")
        if stage in ("build_script", "after_script", "download_artifacts") or stage.startswith(
            ("upload_artifacts", "archive_cache", "restore_cache")
        ):
            assert effects(ours.script, tmp_path) == effects(theirs.script, tmp_path)
            compared += 1
    assert compared


def effects(script: str, scratch: Path) -> tuple[list[str], str]:
    """What a script makes `gitlab-runner` see and prints, in a builds folder of its own."""
    home = scratch / "home"
    project = home / "builds" / "group" / "project"
    project.mkdir(parents=True, exist_ok=True)
    (project / "README.md").write_text("readme\n")
    (project / "out").mkdir(exist_ok=True)
    (project / "out" / "a.txt").write_text("data\n")
    bin_ = scratch / "bin"
    bin_.mkdir(exist_ok=True)
    calls = scratch / "calls"
    calls.write_text("")
    program = bin_ / "gitlab-runner"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit\n'
        f'for word; do printf "%s\\n" "$word"; done >> {calls}\n'
        f"env | grep -v -e ^_= -e ^SHLVL= | sort >> {calls}\n"
        f'cat "$RUNNER_TEMP_PROJECT_DIR"/gitlab_runner_cache_env >> {calls} 2>/dev/null || true\n'
    )
    program.chmod(0o755)
    # the recorded ticks of the cancelled jobs take a minute
    text = script.replace("/builds", f"{home}/builds").replace("seq 1 60", "seq 1 1")
    # the recording's cache lay elsewhere: only the end of its path is comparable
    done = subprocess.run(
        ["bash"],
        input=text.encode(),
        capture_output=True,
        env={"PATH": f"{bin_}:/usr/bin:/bin"},
        check=False,
    )
    seen = re.sub(r"(\.\./)+\S*?cache/group", "CACHE/group", calls.read_text())
    return sorted(seen.splitlines()), done.stdout.decode() + f"exit {done.returncode}"
