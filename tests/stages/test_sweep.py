"""Sweeps beside what can't be ended or understood, beside each other, and beside running jobs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from driver_calls import JobCalls
from fargate_driver import history, jobs, moment, records
from fargate_driver.cli import main
from fargate_driver.commands import reap as reap_command
from fargate_driver.costs.bill import Bill
from fargate_driver.ecs import launch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.target import Target
from fargate_driver.errors import DriverError
from fargate_driver.stages import sweep
from fargate_driver.stages.counted import end_job_counted
from fargate_driver.stages.ending import end_job
from local_fargate import FARGATE, LocalFargate, until
from orphans import metadata, orphan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fargate_driver.moment import Moment

SECRET = "not/a/secret+key/0123456789"
NO = {"error": "AccessDeniedException", "message": "no", "status": 400, "times": 99}


@pytest.fixture(autouse=True)
def nothing_stays(fargate: LocalFargate) -> Iterator[None]:
    """End what a test left on purpose."""
    yield
    fargate.faults()
    for directory in metadata(fargate).glob("[0-9]*"):
        shutil.rmtree(directory)
    for task in fargate.alive():
        stop(fargate, task["taskArn"])


def stop(fargate: LocalFargate, arn: str) -> None:
    Ecs(Target("us-east-1", "default", fargate.url), deadline=0).stop_task(arn, "over")


def reap(fargate: LocalFargate) -> int:
    return main(["--config", str(fargate.config), "reap"])


def too_old() -> Moment:
    return moment.now()._replace(uptime=-30 * 3600.0)


REFUSALS: list[dict[str, Any]] = [
    *(
        {"error": code, "message": "no", "status": 400}
        for code in (
            "AccessDeniedException",
            "ClientException",
            "ClusterNotFoundException",
            "ConflictException",
            "ExpiredTokenException",
            "InvalidParameterException",
            "PlatformUnknownException",
            "ThrottlingException",
        )
    ),
    {"error": "ServerException", "message": "no", "status": 500},
    {"failure": {"reason": "Capacity is unavailable at this time"}},
    {"reset": True},
    {"hang": 0.2, "lose_answer": True},
]


def test_no_refusal_of_a_replay_settles_a_launch(fargate: LocalFargate) -> None:
    # Bug 5: https://github.com/apache/airflow/pull/16150, tasks in spite of refusals
    directory = orphan(fargate, known=False)
    (task,) = fargate.alive()
    for refusal in REFUSALS:
        fargate.faults({"operation": "RunTask", "times": 99, **refusal})
        with pytest.raises(DriverError, match="a task that may have been started could not be"):
            end_job(str(directory), "over", patience=0.1)
        assert (directory / jobs.RECORD).exists(), refusal
        assert [one["taskArn"] for one in fargate.alive()] == [task["taskArn"]], refusal
    fargate.faults()
    end_job(str(directory), "over")
    assert not directory.exists()
    until(lambda: not fargate.alive())


@pytest.mark.parametrize("way", ["cleanup", "prepare", "reap"])
def test_every_way_to_end_a_job_keeps_to_that(
    fargate: LocalFargate, tmp_path: Path, way: str
) -> None:
    job = JobCalls(tmp_path / "job", fargate.config, 7000)
    fargate.faults({"operation": "RunTask", "hang": 60, "lose_answer": True})
    with job.start("prepare") as process:
        until(fargate.alive)
        os.killpg(process.pid, signal.SIGKILL)
    (task,) = fargate.alive()
    fargate.faults({"operation": "RunTask", **NO, "error": "InvalidParameterException"})
    if way == "reap":
        response = (job.temporary / "response.json").read_text()
        shutil.rmtree(job.temporary)
        assert reap(fargate) == 2
        job.temporary.mkdir()
        (job.temporary / "response.json").write_text(response)
    else:
        assert job.call(way).returncode == 2
    assert [one["taskArn"] for one in fargate.alive()] == [task["taskArn"]]
    fargate.faults()
    assert job.call("cleanup").returncode == 0
    until(lambda: not fargate.alive())
    assert list(metadata(fargate).glob("[0-9]*")) == []


def test_a_task_that_a_replay_found_is_known_from_then_on(fargate: LocalFargate) -> None:
    directory = orphan(fargate, known=False)
    (task,) = fargate.alive()
    fargate.faults({"operation": "StopTask", **NO})
    with pytest.raises(DriverError, match="could not be stopped"):
        end_job(str(directory), "over", patience=0.1)
    job = records.load(str(directory))
    assert job
    assert job.task_arn == task["taskArn"]


def test_reap_goes_on_beside_what_it_cannot_end(
    fargate: LocalFargate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    denied, broken, newer, old, odd, good = (
        orphan(fargate, task=number in (0, 5), created=too_old() if number == 3 else None)
        for number in range(6)
    )
    (broken / jobs.RECORD).write_text("{")
    record = json.loads((newer / jobs.RECORD).read_text())
    (newer / jobs.RECORD).write_text(json.dumps(record | {"version": 2}))

    def ends(directory: str, *words: Any, **rest: Any) -> str:
        if directory == str(odd):
            raise ZeroDivisionError("odd")
        return end_job_counted(directory, *words, **rest)

    monkeypatch.setattr(sweep, "end_job_counted", ends)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    quoting = {**NO, "message": f"not signed with {SECRET}", "times": 1}
    fargate.faults({"operation": "StopTask", **quoting}, {"operation": "ListTasks", **NO})
    assert reap(fargate) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith(f"ended job {good.name}: ")
    assert "not signed with [MASKED]" in said.err
    lines = said.err.splitlines()
    for directory, words in {
        broken: "passed over: {}/record.json: the job's record can't be read",
        newer: "passed over: {}/record.json: written by another version of the driver",
        denied: "could not end job {}: arn:aws:ecs:",
        old: "could not end job {}: a task that may have been started could not be stopped: RunTask"
        " was called too long ago to be replayed",
        odd: "could not end job {}: internal error: ZeroDivisionError: odd",
    }.items():
        start, whole, rest = words.partition("{}/record")
        beginning = f"{start}{directory}/record{rest}" if whole else words.format(directory.name)
        assert [line for line in lines if line.startswith(beginning)], (beginning, lines)
    assert len(lines) == 5
    assert sorted(metadata(fargate).glob("[0-9]*")) == sorted([denied, broken, newer, old, odd])
    for directory in (broken, newer, old, odd):
        shutil.rmtree(directory)
    assert reap(fargate) == 0
    until(lambda: not fargate.alive())


def test_a_prepare_spends_no_time_on_what_cannot_be_ended(
    fargate: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, own = orphan(fargate), str(metadata(fargate) / "1-0")
    (metadata(fargate) / f"7-{'0' * 20}").mkdir(mode=0o700)
    fargate.faults({"operation": "StopTask", **NO})

    def tries(hours: float = 0) -> int:
        """How often one sweep in passing calls StopTask, so long after now."""
        before = len(fargate.calls("StopTask"))
        now = moment.now().epoch + hours * 3600
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: now)
            sweep.in_passing(own)
        return len(fargate.calls("StopTask")) - before

    monkeypatch.setattr(sweep, "_IN_PASSING", 0.0)
    assert tries() == 0
    monkeypatch.setattr(sweep, "_IN_PASSING", 60.0)
    assert tries() == 1
    assert [tries() for _ in range(5)] == [0] * 5
    # A minute later it is tried again, and then not for two.
    assert [tries(0.02), tries(0.04), tries(0.06)] == [1, 0, 1]
    # A clock that is set back makes nobody wait for it.
    assert tries(-24) == 1
    # What doesn't answer in time is given up.
    monkeypatch.setattr(sweep, "_IN_PASSING", 1.5)
    fargate.faults({"operation": "StopTask", "hang": 4.0})
    assert tries(24) == 1
    assert directory.exists()
    # reap asks nobody when it was tried last.
    fargate.faults()
    assert sweep.end(str(directory))
    until(lambda: not fargate.alive())


def test_a_task_that_was_just_stopped_is_none_of_an_orphan(
    fargate: LocalFargate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = orphan(fargate)
    (task,) = fargate.alive()
    monkeypatch.setattr(reap_command, "_YOUNG", -60.0)
    list_tasks = Ecs.list_tasks

    def overtaken(self: Ecs, **filters: str) -> list[str]:
        """A cleanup ends the job right after the tasks were listed."""
        listed = list_tasks(self, **filters)
        end_job(str(directory), "the job is over")
        return [*listed, task["taskArn"]]

    monkeypatch.setattr(Ecs, "list_tasks", overtaken)
    monkeypatch.setattr(sweep, "find", lambda _: sweep.Found([], {}))
    before = len(fargate.calls("StopTask"))
    assert reap(fargate) == 0
    assert capsys.readouterr().out == ""
    assert len(fargate.calls("StopTask")) == before + 1


def test_what_a_job_costs_is_known_although_its_end_failed_first(fargate: LocalFargate) -> None:
    directory = orphan(fargate)
    Bill("1 vCPU", 60.0, time.time()).save(str(directory))
    fargate.faults({"operation": "StopTask", **NO})
    with pytest.raises(DriverError, match="could not be stopped"):
        end_job(str(directory), "the job is over")
    assert sorted(path.name for path in directory.iterdir()) == ["bill", "record.json"]
    fargate.faults()
    end_job(str(directory), "the job is over")
    assert float(history.read(str(metadata(fargate)))[-1].cost) >= 1


def test_a_job_that_was_begun_again_is_not_ended(fargate: LocalFargate, tmp_path: Path) -> None:
    directory = orphan(fargate)
    (dead,) = sweep.find(str(metadata(fargate))).dead
    job = records.load(str(directory))
    assert job
    job.owner = job.owner._replace(temporary=str(tmp_path))
    job.save()
    assert not sweep.end(dead.directory)
    assert len(fargate.alive()) == 1
    shutil.rmtree(directory)
    assert not sweep.end(dead.directory)


def test_two_reaps_at_once_end_each_job_once(fargate: LocalFargate) -> None:
    orphans = [orphan(fargate) for _ in range(3)]
    fargate.faults({"operation": "StopTask", "hang": 0.5, "times": 3})
    words = [*FARGATE, "--config", str(fargate.config), "reap"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(one.communicate(timeout=120)[0] for one in both)
    assert [one.returncode for one in both] == [0, 0], said
    for directory in orphans:
        assert said.count(f"ended job {directory.name}: ") == 1, said
        assert not directory.exists()
    until(lambda: not fargate.alive())


def test_a_reap_that_is_killed_is_followed_by_another(
    fargate: LocalFargate, capsys: pytest.CaptureFixture[str]
) -> None:
    orphans = [orphan(fargate) for _ in range(2)]
    fargate.faults({"operation": "StopTask", "hang": 60, "lose_answer": True})
    words = [*FARGATE, "--config", str(fargate.config), "reap"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as first:
        until(lambda: len(fargate.alive()) < 2)
        first.kill()
    fargate.faults()
    assert reap(fargate) == 0
    said = capsys.readouterr().out
    assert [f"ended job {one.name}: " in said for one in orphans] == [True, True]
    until(lambda: not fargate.alive())


@pytest.mark.root
def test_directories_of_others_are_not_opened(
    fargate: LocalFargate, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    foreign, good = orphan(fargate, task=False), orphan(fargate)
    (foreign / jobs.RECORD).unlink()
    os.mkfifo(foreign / jobs.RECORD)  # opening it would wait for ever
    os.chown(foreign, 65534, 65534)
    (metadata(fargate) / f"8-{'0' * 20}").symlink_to(tmp_path)
    fargate.faults({"operation": "ListTasks", **NO, "times": 1})
    assert reap(fargate) == 2
    assert reap(fargate) == 2
    said = capsys.readouterr()
    assert f"ended job {good.name}" in said.out
    assert said.err.count(f"passed over: {foreign}: is not a directory of user id 0") == 2
    (metadata(fargate) / f"8-{'0' * 20}").unlink()
    assert tmp_path.is_dir()


@pytest.mark.root
def test_a_task_is_stopped_although_its_record_cannot_be_removed(
    fargate: LocalFargate, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, unheard = orphan(fargate), orphan(fargate, known=False)
    records = str(metadata(fargate))
    mounts = [["mount", "--bind", records, records], ["mount", "-o", "remount,bind,ro", records]]
    try:
        for command in mounts:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("mounting is not allowed here")
        assert reap(fargate) == 2
    finally:
        subprocess.run(["umount", "--lazy", records], capture_output=True, check=False)
    said = capsys.readouterr().err
    for one in (directory, unheard):
        assert f"could not end job {one.name}: {one}: can't be emptied: Read-only file" in said
    until(lambda: not fargate.alive())
    assert reap(fargate) == 0
    assert list(metadata(fargate).glob("[0-9]*")) == []


def test_records_that_are_not_there_make_no_orphans(
    fargate: LocalFargate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that isn't mounted."""
    monkeypatch.setattr(reap_command, "_YOUNG", -60.0)
    directory = orphan(fargate, temporary="/")
    (task,) = fargate.alive()
    monkeypatch.setattr(launch, "started_by", lambda _records: task["startedBy"])
    moved = metadata(fargate).rename(metadata(fargate).with_name("away"))
    assert reap(fargate) == 2
    assert "is missing: no task is stopped for want of a record" in capsys.readouterr().err
    moved.rename(metadata(fargate))
    assert reap(fargate) == 0
    assert len(fargate.alive()) == 1
    end_job(str(directory), "over")
