"""A task ends itself, whatever became of the driver."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from driver_calls import JobCalls
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["auto", "process"])
def fargate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path / "fargate", runtime=request.param) as running:
        yield running


SOON = 8
"""Seconds in which a job comes to its script on a slow machine too."""


def limited(fargate: LocalFargate, directory: Path, seconds: int) -> JobCalls:
    text = fargate.config.read_text().replace("[Fargate]", f"[Fargate]\nMaxLifetime = {seconds}")
    config = fargate.directory / "limited.toml"
    config.write_text(text)
    return JobCalls(directory, config, 7)


def test_a_task_whose_driver_was_killed_ends_itself(fargate: LocalFargate, tmp_path: Path) -> None:
    job = limited(fargate, tmp_path / "job", SOON)
    assert job.call("prepare").returncode == 0
    with job.start("run", job.script("echo begun; sleep 600"), "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGKILL)
    until(lambda: not fargate.alive())
    (task,) = fargate.tasks()
    assert task["stopCode"] == "EssentialContainerExited"
    # What the killed driver left on its own host.
    assert job.call("cleanup").returncode == 0
    fargate.assert_nothing_left()


def test_the_job_is_told_and_fails_as_a_system_failure(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    job = limited(fargate, tmp_path / "job", SOON)
    assert job.call("prepare").returncode == 0
    ran = job.call("run", job.script("echo begun; sleep 600"), "build_script")
    assert (ran.returncode, ran.stdout) == (2, "begun\n"), ran.stderr
    assert f"MaxLifetime of {SOON} s is over" in ran.stderr
    assert "EssentialContainerExited" in ran.stderr
    assert job.call("cleanup").returncode == 0
    fargate.assert_nothing_left()


def test_a_job_within_its_time_is_not_disturbed(fargate: LocalFargate, tmp_path: Path) -> None:
    job = limited(fargate, tmp_path / "job", 3600)
    assert job.call("prepare").returncode == 0
    for code in (0, 7):
        ran = job.call("run", job.script(f"echo on; exit {code}"), "build_script")
        assert (ran.returncode, ran.stdout) == (min(code, 1), "on\n"), ran.stderr
    assert job.call("cleanup").returncode == 0
    fargate.assert_nothing_left()
