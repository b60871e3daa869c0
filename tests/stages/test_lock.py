"""Two processes that want the same job: one waits, gives up, or ends the other."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver_calls import JobCalls
from fargate_driver import jobs
from fargate_driver.errors import DriverError
from fargate_driver.stages import lock
from fargate_driver.stages.ending import end_job
from local_fargate import FARGATE, LocalFargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB_IDS = itertools.count(5000)
HOLD = """
import signal, sys, time
from fargate_driver.stages import lock
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with lock.for_prepare(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def job(fargate: LocalFargate, tmp_path: Path) -> Iterator[JobCalls]:
    number = next(JOB_IDS)
    calls = JobCalls(tmp_path / "job", fargate.config, number)
    yield calls
    fargate.faults()
    assert calls.call("cleanup").returncode == 0


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A job's directory, and a deaf prepare that has it."""
    directory = str(tmp_path / "5-0123456789abcdef0123")
    with subprocess.Popen([sys.executable, "-c", HOLD, directory], stdout=subprocess.PIPE) as one:
        assert one.stdout
        assert one.stdout.readline() == b"held\n"
        try:
            yield directory, one
        finally:
            one.kill()


def directory_of(fargate: LocalFargate, job: JobCalls) -> Path | None:
    root = Path(fargate.settings["TaskMetadata"]["Directory"])
    return next(root.glob(f"{job.environment['CUSTOM_ENV_CI_JOB_ID']}-*"), None)


def test_a_second_prepare_waits_for_the_first(fargate: LocalFargate, job: JobCalls) -> None:
    # Bug 27: https://github.com/jenkinsci/amazon-ecs-plugin/issues/311, two tasks of one job
    fargate.faults({"task": {"start_delay": 3}})
    before = len(fargate.tasks())
    with job.start("prepare") as first:
        until(lambda: len(fargate.tasks()) > before)
        second = job.call("prepare")
        _, stderr = first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), (stderr, second.stderr)
    said = f"another process ({first.pid}) prepares or ends this job: waiting for it, 60 s at most"
    assert second.stderr.count(said) == 1
    old, new = fargate.tasks()[before:]
    assert "another try of the same job begins" in old["stoppedReason"]
    until(lambda: [task["taskArn"] for task in fargate.alive()] == [new["taskArn"]])
    ran = job.call("run", job.script("echo there"), "build_script")
    assert (ran.returncode, ran.stdout) == (0, "there\n")


def test_a_second_prepare_gives_up_in_one_line(
    holder: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, first = holder
    monkeypatch.setattr(lock, "_PATIENCE", 0.3)
    with (
        pytest.raises(DriverError, match=rf"\({first.pid}\) still prepares .* cleanup of the job"),
        lock.for_prepare(directory),
    ):
        pytest.fail("two have the job")


def test_a_killed_prepare_holds_up_nobody(
    holder: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, first = holder
    monkeypatch.setattr(lock, "_PATIENCE", 20.0)
    with lock.for_sweep(directory) as mine:
        assert not mine
    first.kill()
    with lock.for_prepare(directory):
        assert Path(directory, jobs.PREPARE).read_text().startswith(f"{os.getpid()} ")


def test_cleanup_kills_a_prepare_that_does_not_listen(
    holder: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, first = holder
    monkeypatch.setattr(lock, "_GRACE", ((signal.SIGTERM, 0.5), (signal.SIGKILL, 20.0)))
    with lock.for_cleanup(directory):
        assert first.wait(5) == -signal.SIGKILL
        with lock.for_sweep(directory) as mine:
            assert not mine


@pytest.mark.parametrize("noted", ["1 1 pid:[1] boot", "nonsense", "another start", "another boot"])
def test_cleanup_signals_nobody_else(
    holder: tuple[str, subprocess.Popen[bytes]], noted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another process that has the pid now, another namespace's or host's, a note half-written.
    directory, first = holder
    file = Path(directory, jobs.PREPARE)
    pid, started, *where = file.read_text().split()
    if noted == "another start":
        noted = " ".join([pid, "1", *where])
    elif noted == "another boot":
        noted = " ".join([pid, started, where[0], "boot"])
    file.write_text(noted)
    monkeypatch.setattr(lock, "_GRACE", ((signal.SIGTERM, 0.2), (signal.SIGKILL, 0.2)))
    with lock.for_cleanup(directory):
        assert first.poll() is None


def test_a_removed_directory_is_nobodys_lock(tmp_path: Path) -> None:
    directory = str(tmp_path / "5-0123456789abcdef0123")
    with lock.for_prepare(directory):
        jobs.remove(directory)
        with lock.for_prepare(directory), lock.for_sweep(directory) as mine:
            assert not mine
    with lock.for_cleanup(str(tmp_path / "nowhere")):
        pass


@pytest.mark.parametrize(
    "rule", [{"task": {"start_delay": 60}}, {"operation": "RunTask", "hang": 4}]
)
def test_cleanup_ends_a_prepare_that_still_runs(
    fargate: LocalFargate, job: JobCalls, rule: dict[str, object]
) -> None:
    # Bug 13: https://github.com/buildkite/ecs-run-task/issues/25
    fargate.faults(rule)
    calls = len(fargate.calls("RunTask"))
    with job.start("prepare") as first:
        until(lambda: len(fargate.calls("RunTask")) > calls)
        cleaned = job.call("cleanup")
        assert (cleaned.returncode, cleaned.stderr) == (0, "")
        _, stderr = first.communicate(timeout=60)
    assert first.returncode == 2
    assert "cancelled while the task started" in stderr
    until(lambda: not fargate.alive())
    assert directory_of(fargate, job) is None


def test_cleanup_ends_what_a_prepare_that_it_cannot_end_starts(
    fargate: LocalFargate, job: JobCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    fargate.faults({"operation": "RunTask", "hang": 4})
    monkeypatch.setattr(lock, "_GRACE", ((signal.SIGTERM, 0.2), (signal.SIGKILL, 0.2)))
    calls, before = len(fargate.calls("RunTask")), len(fargate.tasks())
    with job.start("prepare") as first:
        until(lambda: len(fargate.calls("RunTask")) > calls)
        directory = directory_of(fargate, job)
        assert directory
        (directory / jobs.PREPARE).unlink()  # as one of another namespace
        with lock.for_cleanup(str(directory)):
            end_job(str(directory), "the job is over")
        _, stderr = first.communicate(timeout=60)
    assert first.returncode == 2
    assert "the job's record can't be written" in stderr
    # The replayed request and prepare's own are one intent, so one task.
    assert len(fargate.tasks()) == before + 1
    until(lambda: not fargate.alive())
    assert directory_of(fargate, job) is None


def test_a_sweep_leaves_a_job_alone_that_is_just_prepared(
    fargate: LocalFargate, job: JobCalls
) -> None:
    fargate.faults({"task": {"start_delay": 15}})
    before = len(fargate.tasks())
    command = [*FARGATE, "--config", str(fargate.config), "reap"]
    with job.start("prepare") as first:
        until(lambda: len(fargate.tasks()) > before)
        kept = job.temporary.rename(job.temporary.with_name("hidden"))
        try:
            reaped = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        finally:
            kept.rename(job.temporary)
        assert "left alone job" in reaped.stdout
        assert first.wait(60) == 0
    assert len(fargate.alive()) == 1


def test_two_cleanups_at_once(fargate: LocalFargate, job: JobCalls) -> None:
    assert job.call("prepare").returncode == 0
    with job.start("cleanup") as first, job.start("cleanup") as second:
        for one in (first, second):
            _, stderr = one.communicate(timeout=60)
            assert (one.returncode, stderr) == (0, "")
    until(lambda: not fargate.alive())


def test_a_record_removed_while_the_task_is_started(fargate: LocalFargate, job: JobCalls) -> None:
    fargate.faults({"operation": "RunTask", "hang": 3})
    calls, before = len(fargate.calls("RunTask")), len(fargate.tasks())
    with job.start("prepare") as first:
        until(lambda: len(fargate.calls("RunTask")) > calls)
        time.sleep(0.3)
        directory = directory_of(fargate, job)
        assert directory
        shutil.rmtree(directory)
        _, stderr = first.communicate(timeout=60)
    assert first.returncode == 2
    assert "the job's record can't be written" in stderr
    assert "Traceback" not in stderr
    assert len(fargate.tasks()) == before + 1
    until(lambda: not fargate.alive())
