"""What can happen to a task while a script runs in it."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from driver_calls import JobCalls
from fargate_driver import jobs, records
from fargate_driver.ecs.client import Ecs
from local_fargate import LATER, LocalFargate, local_fargate, processes_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB_IDS = itertools.count(9100)


@pytest.fixture(scope="module")
def fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate")) as running:
        yield running


@pytest.fixture
def job(fargate: LocalFargate, tmp_path: Path) -> Iterator[JobCalls]:
    """A job that is prepared by the test, and cleaned up after it."""
    made = JobCalls(tmp_path / "job", fargate.config, next(JOB_IDS))
    yield made
    assert made.call("cleanup").returncode == 0
    fargate.faults()
    fargate.assert_nothing_left()


def directory_of(fargate: LocalFargate) -> Path:
    (directory,) = (fargate.directory / "fargate-local" / "jobs").glob("[0-9]*")
    return directory


def stop_task(fargate: LocalFargate, reason: str) -> None:
    record = records.load(str(directory_of(fargate)))
    assert record
    assert record.task_arn
    Ecs(record.target, deadline=time.monotonic() + 30).stop_task(record.task_arn, reason)


def test_a_lost_connection_is_not_seen_in_the_jobs_log(
    fargate: LocalFargate, job: JobCalls
) -> None:
    assert job.call("prepare").returncode == 0
    script = "for n in 1 2 3 4 5; do echo $n; sleep 0.5; done; exit 7"
    with job.start("run", job.script(script), "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "1\n"
        for pid in processes_in(directory_of(fargate)):
            os.kill(pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, job.code_file.read_text()) == (1, "7\n"), stderr
    assert stdout == "2\n3\n4\n5\n"
    assert "the SSH connection was lost" in stderr
    assert "connected again: the output goes on where it was" in stderr
    assert job.call("run", job.script("echo more"), "after_script").stdout == "more\n"


def test_a_cancel_while_disconnected_ends_the_script(fargate: LocalFargate, job: JobCalls) -> None:
    assert job.call("prepare").returncode == 0
    script = "echo begun; trap 'echo bye' TERM; sleep 300 & wait; exit 0"
    with job.start("run", job.script(script), "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        for pid in processes_in(directory_of(fargate)):
            os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 2
    looking = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 30[0]'; echo looked"
    assert job.call("run", job.script(looking), "after_script").stdout == "looked\n"


# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"interrupt_after": LATER, "grace": 0.1}, "SpotInterruption"),
        (
            {
                "container_exits_after": LATER,
                "exit_code": 137,
                "container_reason": "OutOfMemoryError: Container killed due to memory usage",
            },
            "OutOfMemoryError",
        ),
        ({"container_exits_after": LATER, "exit_code": 1}, "EssentialContainerExited"),
    ],
)
def test_the_end_of_the_task_is_told_apart(
    fargate: LocalFargate, job: JobCalls, rule: dict[str, Any], said: str
) -> None:
    fargate.faults({"task": rule})
    assert job.call("prepare").returncode == 0
    early = job.call("run", job.script("exit 7"), "get_sources")
    assert (early.returncode, job.code_file.read_text()) == (1, "7\n")
    ran = job.call("run", job.script("echo begun; sleep 300"), "build_script")
    assert ran.returncode == 2
    assert said in ran.stderr
    assert not job.code_file.exists()
    after = job.call("run", job.script("echo never"), "after_script")
    assert (after.returncode, after.stdout) == (2, "")
    assert said in after.stderr
    for told in (ran.stderr, after.stderr):
        assert "security group" not in told
        assert "container ci-coordinator " in told or said == "SpotInterruption"


def test_a_task_that_somebody_stops(fargate: LocalFargate, job: JobCalls) -> None:
    assert job.call("prepare").returncode == 0
    with job.start("run", job.script("echo begun; sleep 300"), "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        stop_task(fargate, "somebody needed the room")
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "UserInitiated" in stderr
    assert "somebody needed the room" in stderr


@pytest.mark.long
def test_a_silent_network_is_noticed_within_a_minute_and_ends_with_the_task(
    fargate: LocalFargate, job: JobCalls
) -> None:
    fargate.faults({"task": {"blackhole_after": LATER}})
    assert job.call("prepare").returncode == 0
    begun = time.monotonic()
    script = job.script("while sleep 1; do echo tick; done")
    with job.start("run", script, "build_script") as process:
        assert process.stderr
        line = process.stderr.readline()
        assert "the SSH connection was lost: Timeout, server" in line
        assert time.monotonic() - begun < LATER + 60
        stop_task(fargate, "nobody hears it")
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "nobody hears it" in stderr


def test_a_script_that_is_killed_because_its_task_ends_is_no_script_failure(
    fargate: LocalFargate, job: JobCalls
) -> None:
    assert job.call("prepare").returncode == 0
    access = jobs.load_access(str(directory_of(fargate)))
    assert access
    script = f"(sleep 0.1; kill -TERM {access.init_pid}) >/dev/null 2>&1 & kill -KILL $$"
    done = job.call("run", job.script(script), "build_script")
    assert done.returncode == 2
    assert "build_script: the script was ended with its task; the task stopped: " in done.stderr
