"""A disk that is full, can't be written to, or loses a job's files."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from driver_calls import JobCalls, skip_unless_contained
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.target import Target
from local_fargate import LocalFargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB_IDS = itertools.count(4000)


@pytest.fixture
def job(fargate: LocalFargate, tmp_path: Path) -> Iterator[JobCalls]:
    """A job whose records are in a directory of its own, the test's `records`."""
    config = tmp_path / "fargate.toml"
    ours = fargate.settings["TaskMetadata"]["Directory"]
    text = fargate.config.read_text().replace(f'"{ours}"', f'"{tmp_path}/records"')
    config.write_text(text)
    calls = JobCalls(tmp_path / "job", config, next(JOB_IDS))
    yield calls
    fargate.faults()
    calls.call("cleanup")
    until(lambda: not fargate.alive())


@contextlib.contextmanager
def mounted(directory: Path, options: str) -> Iterator[None]:
    """A small file system; only root can have one."""
    directory.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", options, "tmpfs", str(directory))
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """A directory that can't be written to from now on, by root neither."""
    mount("--bind", str(directory), str(directory))
    try:
        mount("-o", "remount,bind,ro", str(directory))
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


def mount(*words: str) -> None:
    """Mount something; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    if subprocess.run(["mount", *words], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """Have no byte of any file written by the processes that are started here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_no_task_is_started(fargate: LocalFargate, job: JobCalls) -> None:
    calls = len(fargate.calls("RunTask"))
    with no_room():
        process = job.start("prepare")
    with process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    _title, line = stderr.splitlines()
    assert "/records/" in line
    assert "ssh-keygen could not make the job's key" in line
    assert len(fargate.calls("RunTask")) == calls
    assert list((job.config.parent / "records").iterdir()) == []


def test_a_read_only_directory_is_named(fargate: LocalFargate, job: JobCalls) -> None:
    calls = len(fargate.calls("RunTask"))
    with mounted(job.config.parent / "records", "ro"):
        prepared = job.call("prepare")
        cleaned = job.call("cleanup")
    assert prepared.returncode == 2
    assert "Read-only file system" in prepared.stderr.splitlines()[-1]
    assert "[TaskMetadata] Directory" in prepared.stderr
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert len(fargate.calls("RunTask")) == calls


def test_a_directory_that_becomes_read_only_keeps_no_verdict_and_no_task(
    fargate: LocalFargate, job: JobCalls
) -> None:
    assert job.call("prepare").returncode == 0
    skip_unless_contained(job)
    records = job.config.parent / "records"
    (directory,) = records.iterdir()
    (directory / "running-0123456789abcdef").touch()  # of a driver that was killed
    with read_only(records):
        ran = [job.call("run", job.script(f"exit {n}"), "build_script") for n in (0, 3)]
        cleaned = job.call("cleanup")
    until(lambda: not fargate.alive())
    assert [(one.returncode, one.stderr) for one in ran] == [(0, ""), (1, "")]
    assert cleaned.returncode == 2
    assert "Read-only file system" in cleaned.stderr.splitlines()[-1]
    assert job.call("cleanup").returncode == 0


def test_a_disk_that_fills_up_while_the_task_is_started(
    fargate: LocalFargate, job: JobCalls
) -> None:
    records = job.config.parent / "records"
    fargate.faults({"operation": "RunTask", "hang": 3})
    calls, before = len(fargate.calls("RunTask")), len(fargate.tasks())
    with mounted(records, "size=256k"):
        with job.start("prepare") as process:
            until(lambda: len(fargate.calls("RunTask")) > calls)
            with contextlib.suppress(OSError), (records / "full").open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "No space left on device; make room there" in stderr
        assert "Traceback" not in stderr
        until(lambda: not fargate.alive())
        assert len(fargate.tasks()) == before + 1
        assert [path.name for path in records.iterdir()] == ["full"]


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_record_that_is_removed_while_the_job_runs(
    fargate: LocalFargate, job: JobCalls, all_of_it: bool
) -> None:
    # Bug 23: a missing metadata file, https://docs.gitlab.com/runner/configuration/runner_autoscale_aws_fargate/
    assert job.call("prepare").returncode == 0
    (directory,) = (job.config.parent / "records").iterdir()
    if all_of_it:
        shutil.rmtree(directory)
    else:
        (directory / "record.json").unlink()
    ran = job.call("run", job.script("echo there"), "build_script")
    cleaned = job.call("cleanup")
    if all_of_it:
        assert ran.returncode == 2
        assert "no record of a started task" in ran.stderr
        assert cleaned.returncode == 0  # as where nothing ever was
    else:
        assert (ran.returncode, ran.stdout) == (0, "there\n")
        assert cleaned.returncode == 2
        assert "the job's record was removed" in cleaned.stderr
    assert not directory.exists()
    (task,) = fargate.alive()
    stop(fargate, task["taskArn"])


def stop(fargate: LocalFargate, task_arn: str) -> None:

    Ecs(Target("us-east-1", "default", fargate.url, None), deadline=0).stop_task(task_arn, "over")


def test_a_newer_drivers_record_is_kept_for_it(fargate: LocalFargate, job: JobCalls) -> None:
    assert job.call("prepare").returncode == 0
    (directory,) = (job.config.parent / "records").iterdir()
    record = directory / "record.json"
    kept = record.read_text()
    record.write_text(json.dumps(json.loads(kept) | {"version": 99}))
    for stage in ("cleanup", "prepare"):
        called = job.call(stage)
        assert called.returncode == 2
        assert "written by another version of the driver" in called.stderr
    assert len(fargate.alive()) == 1
    record.write_text(kept)
    assert job.call("cleanup").returncode == 0
    until(lambda: not fargate.alive())


def test_a_half_written_record_is_the_one_before(fargate: LocalFargate, job: JobCalls) -> None:
    assert job.call("prepare").returncode == 0
    (directory,) = (job.config.parent / "records").iterdir()
    (directory / "record.json.new").write_text('{"version": 1, "laun')
    assert job.call("cleanup").returncode == 0
    assert not directory.exists()
    until(lambda: not fargate.alive())
