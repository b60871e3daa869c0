"""`fargate reap`, and prepare's own sweep: what is over is ended, what may run is left alone."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import recorded_calls
from driver_calls import JobCalls
from fargate_driver import host, jobs, moment
from fargate_driver.cli import main
from fargate_driver.commands import reap as reap_command
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.target import Target
from fargate_driver.moment import Moment
from fargate_driver.owner import Owner, owner_of_this_call, why_over
from local_fargate import FARGATE, LocalFargate, processes_in, until

if TYPE_CHECKING:
    from pathlib import Path

JOB_IDS = itertools.count(9000)

# gitlab-runner, as far as its name and its being the driver's parent go.
RUNNER = f"""#!{sys.executable}
import subprocess, sys, time
print(subprocess.run(sys.argv[1:]).returncode, flush=True)
time.sleep(600)
"""


def reap(fargate: LocalFargate, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*FARGATE, "--config", str(fargate.config), "reap", *words]
    environment = os.environ | recorded_calls.mark(fargate.config, "reap")
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def new_job(fargate: LocalFargate, tmp_path: Path) -> JobCalls:
    number = next(JOB_IDS)
    return JobCalls(tmp_path / f"job{number}", fargate.config, number)


def runner_that_prepares(job: JobCalls, tmp_path: Path, *within: str) -> subprocess.Popen[str]:
    program = tmp_path / "gitlab-runner"
    program.write_text(RUNNER)
    program.chmod(0o700)
    words = [*FARGATE, "--config", str(job.config), "custom", "prepare"]
    process = subprocess.Popen(
        [*within, str(program), *words], env=job.environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "0\n"
    return process


def test_a_job_whose_runner_was_killed_is_ended(fargate: LocalFargate, tmp_path: Path) -> None:
    job = new_job(fargate, tmp_path)
    with runner_that_prepares(job, tmp_path) as runner:
        try:
            assert reap(fargate).stdout == ""
            assert len(fargate.alive()) == 1
        finally:
            runner.kill()
    said = reap(fargate, "--dry-run")
    assert (said.returncode, said.stderr) == (0, "")
    assert "would have ended job" in said.stdout
    assert "its gitlab-runner is gone (arn:aws:ecs:" in said.stdout
    assert len(fargate.alive()) == 1
    assert "ended job" in reap(fargate).stdout
    until(lambda: not fargate.alive())
    (stopped,) = [t for t in fargate.tasks() if "reaped" in t["stoppedReason"]]
    assert stopped["stoppedReason"].endswith("reaped: its gitlab-runner is gone")
    assert reap(fargate).stdout == ""


def test_a_job_whose_temporary_directory_is_gone_is_ended(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    job = new_job(fargate, tmp_path)
    assert job.call("prepare").returncode == 0
    assert reap(fargate).stdout == ""
    shutil.rmtree(job.temporary)
    assert "removed its temporary directory" in reap(fargate).stdout


def test_prepare_sweeps_dead_jobs_in_passing(fargate: LocalFargate, tmp_path: Path) -> None:
    dead, next_job = new_job(fargate, tmp_path), new_job(fargate, tmp_path)
    assert dead.call("prepare").returncode == 0
    task = fargate.alive()[0]["taskArn"]
    shutil.rmtree(dead.temporary)
    prepared = next_job.call("prepare")
    assert prepared.returncode == 0
    assert "ending what it left" in prepared.stderr
    until(lambda: task not in [t["taskArn"] for t in fargate.alive()])
    assert next_job.call("cleanup").returncode == 0


def test_a_prepare_killed_before_it_knew_its_task_is_ended(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    job = new_job(fargate, tmp_path)
    fargate.faults({"operation": "RunTask", "hang": 60, "lose_answer": True})
    with job.start("prepare") as process:
        until(fargate.alive)
        os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(job.temporary)
    assert "no known task" in reap(fargate).stdout
    until(lambda: not fargate.alive())


def test_what_cannot_be_stopped_is_said_and_kept(fargate: LocalFargate, tmp_path: Path) -> None:
    job = new_job(fargate, tmp_path)
    assert job.call("prepare").returncode == 0
    shutil.rmtree(job.temporary)
    rule = {"operation": "StopTask", "error": "AccessDeniedException", "message": "no StopTask"}
    fargate.faults(rule)
    said = reap(fargate)
    assert said.returncode == 2
    assert "could not end job" in said.stderr
    assert "no StopTask" in said.stderr
    assert reap(fargate).returncode == 0


def test_tasks_of_another_manager_are_none_of_its_business(
    fargate: LocalFargate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two directories of records are two managers, on one cluster.
    job = new_job(fargate, tmp_path)
    job.config = tmp_path / "other.toml"
    ours = fargate.settings["TaskMetadata"]["Directory"]
    text = fargate.config.read_text().replace(f'"{ours}"', f'"{tmp_path}/other"')
    job.config.write_text(text)
    assert str(tmp_path) in text
    assert job.call("prepare").returncode == 0
    monkeypatch.setattr(reap_command, "_YOUNG", -60.0)
    assert main(["--config", str(fargate.config), "reap"]) == 0
    assert len(fargate.alive()) == 1
    assert job.call("cleanup").returncode == 0


@pytest.mark.root
def test_managers_of_one_name_end_nothing_that_runs_in_the_other(
    fargate: LocalFargate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As two containers that share `Manager` and the directory of records."""
    job = new_job(fargate, tmp_path)
    job.config = tmp_path / "named.toml"
    job.config.write_text(fargate.config.read_text().replace('"embedded"', '"ci-a"'))
    container = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    monkeypatch.setattr(reap_command, "_YOUNG", -60.0)
    with runner_that_prepares(job, tmp_path, *container) as runner:
        try:
            (task,) = fargate.alive()
            assert task["startedBy"].startswith("gitlab-fargate-driver/ci-a/")
            assert main(["--config", str(job.config), "reap"]) == 0
            assert capsys.readouterr().out == ""
            assert [one["taskArn"] for one in fargate.alive()] == [task["taskArn"]]
        finally:
            runner.kill()
    # Gone as well, which can't be seen from here either: its time has to pass.
    assert main(["--config", str(job.config), "reap"]) == 0
    assert len(fargate.alive()) == 1
    assert job.call("cleanup").returncode == 0


def test_tasks_without_a_record_are_stopped_where_they_can_be_listed(
    fargate: LocalFargate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job, other = new_job(fargate, tmp_path), new_job(fargate, tmp_path)
    for one in (job, other):
        assert one.call("prepare").returncode == 0
    metadata = fargate.directory / "fargate-local" / "jobs"
    (directory,) = metadata.glob(f"{job.environment['CUSTOM_ENV_CI_JOB_ID']}-*")
    (directory / "record.json").unlink()
    rule = {"operation": "ListTasks", "error": "AccessDeniedException", "message": "no"}
    fargate.faults(rule)
    said = reap(fargate)
    assert (said.returncode, said.stderr) == (0, "")
    assert "ecs:ListTasks is not allowed" in said.stdout
    # A young one may be of a cleanup in progress.
    assert reap(fargate).stdout == ""
    assert len(fargate.alive()) == 2
    monkeypatch.setattr(reap_command, "_YOUNG", -60.0)
    words = ["--config", str(fargate.config), "reap"]
    assert main(words) == 0
    assert "this manager has no record of its job" in capsys.readouterr().out
    until(lambda: len(fargate.alive()) == 1)
    # cleanup can't know that somebody has stopped the task, and says so once.
    cleaned = job.call("cleanup")
    assert cleaned.returncode == 2
    assert "the job's record was removed, so its task can't be stopped" in cleaned.stderr
    for one in (job, other):
        assert one.call("cleanup").returncode == 0


@pytest.mark.parametrize("known", ["", "this host"])
def test_where_another_may_go_by_the_same_name_no_record_is_missed(
    fargate: LocalFargate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    known: str,
) -> None:
    """As two containers with one host name, without `Manager`."""
    config = tmp_path / "unnamed.toml"
    config.write_text(fargate.config.read_text().replace('Manager = "embedded"', ""))
    monkeypatch.setattr(host, "known", lambda: known)
    before = len([call for call in fargate.calls() if call["operation"] == "ListTasks"])
    assert main(["--config", str(config), "reap"]) == 0
    asked = len([call for call in fargate.calls() if call["operation"] == "ListTasks"]) - before
    said = capsys.readouterr().out
    assert (asked, said != "", "set [TaskMetadata] Manager" in said) == (
        (1, False, False) if known else (0, True, True)
    )


def test_a_job_that_runs_without_its_record_is_left_alone(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    job = new_job(fargate, tmp_path)
    assert job.call("prepare").returncode == 0
    number = job.environment["CUSTOM_ENV_CI_JOB_ID"]
    (directory,) = (fargate.directory / "fargate-local" / "jobs").glob(f"{number}-*")
    (directory / "record.json").unlink()
    rule = {"operation": "ListTasks", "error": "AccessDeniedException", "message": "no"}
    fargate.faults({**rule, "times": 3})

    def reaped() -> str:
        os.utime(directory, (0, 0))  # no stage has begun or ended for long
        said = reap(fargate)
        assert said.returncode == 2
        return said.stderr

    left = f"passed over: {directory}: the job's record was removed, but the job still runs"
    assert reaped().startswith(left)
    assert job.call("run", job.script("exit 0"), "build_script").returncode == 0
    for pid in processes_in(directory):
        os.kill(pid, signal.SIGKILL)
    stage = jobs.Running(str(directory))
    stage.begin("0")
    assert reaped().startswith(left)
    stage.over()
    assert "could not end" in reaped()
    assert not directory.exists()
    for task in fargate.alive():
        Ecs(Target("us-east-1", "default", fargate.url), deadline=0).stop_task(
            task["taskArn"], "over"
        )


DAY = 86400.0
LONGEST = 60 + 3600.0  # owner_of_this_call's hour on top


def here(age: float = 0, jump: float = 0, boot: str | None = None, **changes: Any) -> Owner:
    """The owner of a job that began `age` seconds ago; the clock was set by `jump` since."""
    now = moment.now()
    began = Moment(now.epoch - age - jump, boot or now.boot, now.uptime - age)
    return owner_of_this_call("/", 60)._replace(began=began, **changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"age": LONGEST + 1}, "its time is up"),
        # A clock that is set ends no running job, and keeps no dead one.
        ({"age": 1, "jump": DAY}, ""),
        ({"age": 1, "jump": -DAY}, ""),
        ({"age": LONGEST + 1, "jump": -DAY}, "its time is up"),
        # Elsewhere nothing but the time of day is known.
        ({"age": LONGEST + 1, "boot": "another", "host": "another"}, "its time is up"),
        ({"age": LONGEST + 1, "boot": "another", "host": ""}, "its time is up"),
        ({"boot": "another"}, "its host was restarted"),
        ({"boot": "another", "host": "another"}, ""),
        ({"boot": "another", "host": ""}, ""),
        (
            {"host": "", "temporary": "/nowhere"},
            "gitlab-runner has removed its temporary directory",
        ),
        # A pid that another process has now.
        ({"runner_pid": os.getpid(), "runner_started": 1}, "its gitlab-runner is gone"),
        ({"runner_pid": 2**22 + 5, "runner_started": 1}, "its gitlab-runner is gone"),
        # In a container the pid means nothing to the host.
        ({"runner_pid": 2**22 + 5, "runner_started": 1, "pid_namespace": "pid:[1]"}, ""),
        ({"temporary": "/nowhere"}, "gitlab-runner has removed its temporary directory"),
        # With systemd's PrivateTmp the directory can't be seen from outside.
        ({"temporary": "/nowhere", "mount_namespace": "mnt:[1]"}, ""),
        ({"temporary": ""}, ""),
    ],
)
def test_evidence(changes: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "known", lambda: "this host")
    assert why_over(here(**changes)) == why
