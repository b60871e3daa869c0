"""A `run` that is killed: its script does not run on beside the next stages."""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING

import pytest

from driver_calls import JobCalls, skip_unless_contained
from local_fargate import LocalFargate, processes_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB_IDS = itertools.count(8700)
LOOKING = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 76[.]5'; echo looked"


@pytest.fixture
def job(fargate: LocalFargate, tmp_path: Path) -> Iterator[JobCalls]:
    number = next(JOB_IDS)
    prepared = JobCalls(tmp_path / f"job{number}", fargate.config, number)
    assert prepared.call("prepare").returncode == 0
    skip_unless_contained(prepared)
    yield prepared
    assert prepared.call("cleanup").returncode == 0


def kill_a_run(job: JobCalls) -> None:
    script = job.script("trap '' TERM; setsid sleep 76.5 & echo begun; sleep 76.5")
    with job.start("run", script, "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGKILL)


def notes(fargate: LocalFargate) -> list[str]:
    jobs = fargate.directory / "fargate-local" / "jobs"
    return [path.name for path in jobs.glob("[0-9]*/**/running-*")]


@pytest.mark.parametrize("connected", [True, False])
def test_the_next_stage_ends_what_a_killed_one_left(
    fargate: LocalFargate, job: JobCalls, connected: bool
) -> None:
    kill_a_run(job)
    assert len(notes(fargate)) == 1
    if not connected:
        (directory,) = (fargate.directory / "fargate-local" / "jobs").glob("[0-9]*")
        for pid in processes_in(directory):
            os.kill(pid, signal.SIGKILL)
    looked = job.call("run", job.script(LOOKING), "after_script")
    assert (looked.returncode, looked.stdout) == (0, "looked\n"), looked.stderr
    assert "an earlier stage was left running in the task; it is ended now" in looked.stderr
    assert notes(fargate) == []
    looked = job.call("run", job.script("exit 3"), "after_script")
    assert (looked.returncode, looked.stderr) == (1, "")


def test_cleanup_ends_what_a_killed_stage_left(fargate: LocalFargate, job: JobCalls) -> None:
    kill_a_run(job)
    cleaned = job.call("cleanup")
    assert cleaned.returncode == 0
    assert "an earlier stage was left running in the task; it is ended now" in cleaned.stderr
    assert notes(fargate) == []


def test_a_stage_that_is_heard_is_left_alone(job: JobCalls) -> None:
    script = job.script("echo begun; sleep 3; exit 7", "other")
    with job.start("run", script, "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        assert job.call("run", job.script("exit 0"), "after_script").stderr == ""
        assert process.wait(60) == 1
    assert job.code_file.read_text() == "7\n"
