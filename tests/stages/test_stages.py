"""prepare, run and cleanup, call by call, on the embedded Fargate."""

from __future__ import annotations

import itertools
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver_calls import JobCalls
from fargate_driver import jobs
from local_fargate import LATER, LocalFargate, local_fargate, processes_in, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeJob = Callable[..., JobCalls]

JOB_IDS = itertools.count(7000)


@pytest.fixture
def job(fargate: LocalFargate, tmp_path: Path) -> Iterator[MakeJob]:
    """Makes jobs; each is cleaned up, and nothing of it may be left."""
    made: list[JobCalls] = []

    def make(**response: Any) -> JobCalls:
        number = next(JOB_IDS)
        calls = JobCalls(tmp_path / f"job{number}", fargate.config, number, **response)
        made.append(calls)
        return calls

    yield make
    fargate.faults()
    for calls in made:
        assert calls.call("cleanup").returncode == 0


def records(fargate: LocalFargate) -> list[Path]:
    return list((fargate.directory / "fargate-local" / "jobs").glob("[0-9]*"))


def test_a_job_from_start_to_end(fargate: LocalFargate, job: MakeJob) -> None:
    this = job()
    prepared = this.call("prepare")
    assert prepared.returncode == 0, prepared.stderr
    for phase in ("network", "image pull", "start", "SSH"):
        assert f"fargate:   {phase}" in prepared.stderr
    ran = this.call("run", this.script("echo out; echo err >&2; exit 7"), "build_script")
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "out\n", "err\n")
    assert this.code_file.read_text() == "7\n"
    # A stale code never survives into a later stage.
    assert this.call("run", this.script("exit 0"), "after_script").returncode == 0
    assert not this.code_file.exists()
    task = fargate.alive()[0]["taskArn"]
    cleaned = this.call("cleanup", CI_JOB_STATUS="failed")
    assert (cleaned.returncode, cleaned.stdout, cleaned.stderr) == (0, "", "")
    until(lambda: not fargate.alive())
    (stopped,) = [t for t in fargate.tasks() if t["taskArn"] == task]
    assert stopped["stoppedReason"].endswith(
        "(pipeline 500, group/project): the job is over (failed)"
    )


def test_nothing_to_clean_is_quiet(job: MakeJob) -> None:
    cleaned = job().call("cleanup")
    assert (cleaned.returncode, cleaned.stdout, cleaned.stderr) == (0, "", "")


def test_what_run_task_is_sent(fargate: LocalFargate, job: MakeJob) -> None:
    first, second = job(), job()
    for one in (first, second):
        assert one.call("prepare").returncode == 0
    tasks = fargate.alive()
    # Constant per manager: ListTasks matches startedBy exactly.
    assert len({t["startedBy"] for t in tasks}) == 1
    assert len(tasks[0]["startedBy"]) <= 128
    (record, _) = (json.loads((r / "record.json").read_text()) for r in records(fargate))
    sent = record["launches"][0]["request"]
    assert set(sent) == {
        "clientToken",
        "cluster",
        "networkConfiguration",
        "startedBy",
        "taskDefinition",
    }
    (override,) = tasks[0]["overrides"]["containerOverrides"]
    assert override["name"] == "ci-coordinator"
    ((variable),) = override["environment"]
    assert variable["name"] == "SSH_PUBLIC_KEY"
    assert variable["value"].startswith("ssh-ed25519 ")
    assert "\n" not in variable["value"]


def test_records_are_private_and_hold_no_job_secret(fargate: LocalFargate, job: MakeJob) -> None:
    this = job(token="glcbt-secret")
    assert this.call("prepare", SECRET="s3cr3t", CI_JOB_TOKEN="glcbt-secret").returncode == 0
    (directory,) = records(fargate)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        if not path.is_socket():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert "s3cr3t" not in path.read_text()
            assert "glcbt-secret" not in path.read_text()
    # Nor does the connection's process carry the job's environment or secrets in its arguments.
    for environ in _environments_of(directory):
        assert b"CUSTOM_ENV" not in environ
        assert b"s3cr3t" not in environ


def test_records_and_the_history_hold_no_masked_value(fargate: LocalFargate, job: MakeJob) -> None:
    secret = "hunter2hunter2"
    info = {"name": f"n {secret}", "pipeline_id": 500, "project_id": 42}
    this = job(
        job_info=info | {"project_full_path": f"group/{secret}"},
        variables=[{"key": "PASSWORD", "value": secret, "masked": True}],
    )
    assert this.call("prepare").returncode == 0
    (directory,) = records(fargate)
    kept = json.loads((directory / "record.json").read_text())
    assert kept["about"]["name"] == "n [MASKED]"
    assert kept["about"]["project"] == "group/[MASKED]"
    assert secret not in kept["description"]
    assert this.call("cleanup", CI_JOB_STATUS=secret).returncode == 0
    history = directory.parent.with_name("jobs-history").read_text()
    assert "n [MASKED]" in history
    assert secret not in history


def _environments_of(directory: Path) -> list[bytes]:
    found = [Path(f"/proc/{pid}/environ").read_bytes() for pid in processes_in(directory)]
    assert found, "no ssh process found"
    return found


def test_a_second_prepare_ends_what_the_first_left(fargate: LocalFargate, job: MakeJob) -> None:
    this = job()
    assert this.call("prepare").returncode == 0
    first = fargate.alive()[0]["taskArn"]
    assert this.call("prepare").returncode == 0
    until(lambda: first not in [t["taskArn"] for t in fargate.alive()])
    assert len(fargate.alive()) == 1
    ran = this.call("run", this.script("echo second"), "build_script")
    assert (ran.returncode, ran.stdout) == (0, "second\n")


def test_run_without_a_link_finds_its_record(job: MakeJob) -> None:
    this = job()
    assert this.call("prepare").returncode == 0
    (link,) = (p for p in this.temporary.iterdir() if p.is_symlink())
    link.unlink()
    assert this.call("run", this.script("echo found"), "build_script").stdout == "found\n"


def test_run_before_prepare_says_so(job: MakeJob) -> None:
    this = job()
    ran = this.call("run", this.script("echo no"), "build_script")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no record of a started task; did prepare succeed?" in ran.stderr


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            {"operation": "RunTask", "error": "AccessDeniedException", "message": "not authorized"},
            "RunTask failed: AccessDeniedException: not authorized",
        ),
        (
            # The Go driver's issue 41: https://gitlab.com/gitlab-org/ci-cd/custom-executor-drivers/fargate/-/issues/41
            {
                "operation": "RunTask",
                "failure": {"reason": "The requested CPU configuration is above your limit"},
            },
            "ECS started no task: The requested CPU configuration is above your limit. the task"
            " asks for more CPU than the account's quota allows: raise the Fargate vCPU quota in"
            " Service Quotas, or take a smaller task size [size-above-quota]\n",
        ),
        (
            {
                "task": {
                    "stop_at": "PENDING",
                    "stop_code": "TaskFailedToStart",
                    "stopped_reason": "CannotPullContainerError: pull access denied",
                }
            },
            "the task stopped: TaskFailedToStart: CannotPullContainerError: pull access denied",
        ),
        ({"task": {"unhealthy": True, "sshd_delay": 5}}, "reports UNHEALTHY"),
        (
            {"task": {"container_exits_after": 0.5, "exit_code": 3, "sshd_delay": 60}},
            "container ci-coordinator: exit code 3",
        ),
    ],
)
def test_a_start_that_fails_says_why(
    fargate: LocalFargate, job: MakeJob, rule: dict[str, Any], said: str
) -> None:
    fargate.faults(rule)
    prepared = job().call("prepare")
    assert prepared.returncode == 2
    assert said in prepared.stderr
    assert "Traceback" not in prepared.stderr
    until(lambda: not fargate.alive())


def test_a_start_that_never_ends_ends_at_start_timeout(
    fargate: LocalFargate, job: MakeJob, tmp_path: Path
) -> None:
    this = job()
    this.config = tmp_path / "short.toml"
    text = fargate.config.read_text().replace("[Fargate]", "[Fargate]\nStartTimeout = 6")
    this.config.write_text(text)
    fargate.faults({"task": {"never_starts": True}})
    prepared = this.call("prepare")
    assert prepared.returncode == 2
    assert "not usable within StartTimeout; ECS last showed it as PROVISIONING" in prepared.stderr
    until(lambda: not fargate.alive())


def test_a_late_address_and_a_late_sshd_are_waited_for(fargate: LocalFargate, job: MakeJob) -> None:
    fargate.faults({"task": {"eni_delay": 1, "sshd_delay": 1.5, "sshd_refuses_key": 2.5}})
    prepared = job().call("prepare")
    assert prepared.returncode == 0, prepared.stderr


def test_a_task_missing_for_a_while_is_waited_for(fargate: LocalFargate, job: MakeJob) -> None:
    fargate.faults({"operation": "DescribeTasks", "missing_for": 2})
    prepared = job().call("prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert len(fargate.alive()) == 1


@pytest.mark.parametrize("value", ["-x", "a b", "x" * 300, "no-such-family", "ci-coordinator:99"])
def test_only_the_author_can_mend_the_jobs_task_definition(
    fargate: LocalFargate, job: MakeJob, value: str
) -> None:
    calls = len(fargate.calls("RunTask"))
    this = job()
    this.code_file.write_text("7\n")
    prepared = this.call("prepare", FARGATE_TASK_DEFINITION=value)
    assert prepared.returncode == 1
    assert "FARGATE_TASK_DEFINITION" in prepared.stderr
    assert not this.code_file.exists()
    assert len(fargate.calls("RunTask")) - calls <= 1


PLATFORM = {
    "operation": "RunTask",
    "error": "PlatformUnknownException",
    "message": "The specified platform version does not exist.",
}


def test_only_the_author_can_mend_the_jobs_platform_version(
    fargate: LocalFargate, job: MakeJob, tmp_path: Path
) -> None:
    fargate.faults(PLATFORM)
    prepared = job().call("prepare", FARGATE_PLATFORM_VERSION="1.9.9")
    assert prepared.returncode == 1
    assert "fargate: FARGATE_PLATFORM_VERSION 1.9.9: RunTask failed: Plat" in prepared.stderr
    assert "[platform-unknown]" in prepared.stderr
    fargate.faults(PLATFORM)
    operators = job()
    operators.config = tmp_path / "platform.toml"
    text = fargate.config.read_text().replace("[Fargate]", '[Fargate]\nPlatformVersion = "1.9.9"')
    operators.config.write_text(text)
    assert operators.call("prepare").returncode == 2


def test_the_operators_unknown_task_definition_is_a_system_failure(
    fargate: LocalFargate, job: MakeJob, tmp_path: Path
) -> None:
    this = job()
    this.config = tmp_path / "wrong.toml"
    this.config.write_text(fargate.config.read_text().replace('"ci-coordinator:1"', '"nobody"'))
    prepared = this.call("prepare")
    assert prepared.returncode == 2
    assert "RunTask failed: ClientException" in prepared.stderr


def test_a_job_may_name_its_task_definition(job: MakeJob) -> None:
    arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/ci-coordinator:1"
    assert job().call("prepare", FARGATE_TASK_DEFINITION=arn).returncode == 0


def test_a_doubled_prefix_is_explained(job: MakeJob) -> None:
    prepared = job().call("prepare", CUSTOM_ENV_FARGATE_TASK_DEFINITION="ci-coordinator:1")
    assert prepared.returncode == 0
    assert "call it FARGATE_TASK_DEFINITION" in prepared.stderr


@pytest.mark.parametrize("name", ["file/jobs", "x" * 300], ids=["in a file", "too long"])
def test_records_that_cannot_be_written_stop_before_run_task(
    fargate: LocalFargate, job: MakeJob, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("")
    this = job()
    this.config = tmp_path / "blocked.toml"
    directory = f'Directory = "{tmp_path}/{name}"\n[SSH]'
    text = fargate.config.read_text()
    kept, rest = text.split("[TaskMetadata]")
    this.config.write_text(f"{kept}[TaskMetadata]\n{directory}{rest.split('[SSH]')[1]}")
    calls = len(fargate.calls())
    prepared = this.call("prepare")
    assert prepared.returncode == 2
    assert f"[TaskMetadata] Directory {tmp_path}/{name}: " in prepared.stderr
    assert len(fargate.calls()) == calls
    this.config = fargate.config


@pytest.mark.parametrize(
    "rule",
    [
        {"operation": "RunTask", "hang": 5},
        {"operation": "RunTask", "hang": 3, "lose_answer": True},
        {"task": {"start_delay": 60}},
        {"task": {"sshd_delay": 60}},
        {"task": {"sshd_refuses_key": True}},
    ],
)
def test_a_cancel_while_the_task_starts_stops_it(
    fargate: LocalFargate, job: MakeJob, rule: dict[str, Any]
) -> None:
    fargate.faults(rule)
    calls = len(fargate.calls("RunTask"))
    with job().start("prepare") as process:
        until(lambda: len(fargate.calls("RunTask")) > calls)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGTERM)
        begun = time.monotonic()
        _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begun < 40
    assert process.returncode == 2
    assert "cancelled while the task started" in stderr
    assert "Traceback" not in stderr
    until(lambda: not fargate.alive())
    assert records(fargate) == []


def test_a_cancelled_script_ends_with_all_its_children(job: MakeJob) -> None:
    this = job()
    assert this.call("prepare").returncode == 0
    children = "setsid sleep 876.5 & (trap '' TERM; sleep 876.6) &"
    text = f"{children} echo on; trap 'exit 0' TERM; sleep 876.7"
    with this.start("run", this.script(text), "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "on\n"
        os.killpg(process.pid, signal.SIGTERM)
        begun = time.monotonic()
        process.communicate(timeout=60)
    assert process.returncode == 2
    assert time.monotonic() - begun < 50
    look = (
        "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep 87[6].'; echo looked"
    )
    looked = this.call("run", this.script(look), "after_script")
    assert looked.stdout == "looked\n"


def test_a_lost_master_is_replaced_and_the_key_is_pinned(
    fargate: LocalFargate, job: MakeJob
) -> None:
    this = job()
    assert this.call("prepare").returncode == 0
    (directory,) = records(fargate)
    _kill_master(directory)
    assert this.call("run", this.script("echo again"), "build_script").stdout == "again\n"
    _kill_master(directory)
    known = (directory / "known_hosts").read_text()
    other = known.split()[-1][:-6] + "AAAAAA"
    (directory / "known_hosts").write_text(known.replace(known.split()[-1], other))
    ran = this.call("run", this.script("echo sent"), "build_script")
    assert (ran.returncode, ran.stdout) == (2, "")


def _kill_master(directory: Path) -> None:
    for pid in processes_in(directory):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not processes_in(directory))


def test_a_task_that_is_stopped_by_others_is_a_system_failure(
    fargate: LocalFargate, job: MakeJob
) -> None:
    fargate.faults({"task": {"interrupt_after": LATER, "grace": 0.1}})
    this = job()
    assert this.call("prepare").returncode == 0
    ran = this.call("run", this.script("echo begun; sleep 30; echo done"), "build_script")
    assert (ran.returncode, ran.stdout) == (2, "begun\n")
    assert "SpotInterruption" in ran.stderr
    assert not this.code_file.exists()


def test_nothing_is_left_in_a_shared_tmp(tmp_path: Path) -> None:
    with local_fargate(tmp_path / "fargate", runtime="process") as fargate:
        this = JobCalls(tmp_path / "job", fargate.config, next(JOB_IDS))
        assert this.call("prepare").returncode == 0
        ran = this.call("run", this.script("echo $TMPDIR"), "build_script")
        assert ran.stdout.startswith(str(fargate.directory))
        (place,) = (fargate.directory / "fargate-local" / "jobs").glob("[0-9]*")
        access = jobs.load_access(str(place))
        # Others use /tmp at the same time.
        assert access
        assert Path(access.state_directory).is_relative_to(fargate.directory)
        assert this.call("cleanup").returncode == 0


def test_a_start_that_goes_well_does_not_import_the_diagnosis(job: MakeJob) -> None:
    this = job()
    this.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    with this.start("prepare") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [line for line in stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "fargate_driver.stages.starting" in imported
    assert {name for name in imported if "verdict" in name or "diagnosis" in name} == set()


def test_a_run_stage_imports_nothing_that_takes_long(job: MakeJob) -> None:
    this = job()
    assert this.call("prepare").returncode == 0
    command = [str(Path(sys.executable).with_name("fargate")), "--config", str(this.config)]
    ran = subprocess.run(
        [*command, "custom", "run", this.script("echo hello"), "build_script"],
        env=this.environment | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "hello\n"
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "fargate_driver.ssh.session" in imported
    slow = {"re", "enum", "json", "typing", "dataclasses", "logging", "subprocess", "socket"}
    slow |= {"pathlib", "tomllib", "signal", "click", "pydantic", "botocore", "argparse", "shutil"}
    assert imported & slow == set()
