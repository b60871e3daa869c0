"""One thing about this host or its files is wrong: the doctor names it, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver import records, settings
from fargate_driver.doctor import runner_config, runner_limits
from fargate_driver.doctor.finding import Status
from fargate_driver.ecs.target import Target
from fargate_driver.owner import owner_of_this_call
from fargate_driver.ssh.environment import ENVIRONMENT
from front_calls import flags
from local_fargate import FARGATE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from doctor.patient import Patient

DRIVER = Path(sys.executable).with_name("fargate")


def _records(patient: Patient) -> Path:
    directory = patient.directory / "records"
    directory.mkdir(mode=0o700)
    return directory


def _file_in_the_way(patient: Patient) -> None:
    (patient.directory / "records").write_text("")


def _nobody_writes_there(patient: Patient) -> None:
    patient.settings["TaskMetadata"]["Directory"] = "/proc/sys/records"


def _others_may_write(patient: Patient) -> None:
    _records(patient).chmod(0o777)


def _dead_job(patient: Patient) -> None:
    directory = _records(patient) / f"7-{'0' * 20}"
    directory.mkdir(mode=0o700)
    owner = owner_of_this_call(str(patient.directory / "removed"), 3600)
    records.JobRecord(str(directory), "job 7 (a/b)", Target("us-east-1", "c"), owner).save()


@pytest.mark.parametrize(
    ("seed", "check", "says"),
    [
        (_file_in_the_way, "records", "is no directory"),
        (_nobody_writes_there, "records", "can't be written to"),
        (_others_may_write, "records", "chmod go-w"),
        (_dead_job, "leftovers", "job 7 (a/b): gitlab-runner has removed its temporary directory"),
    ],
)
def test_the_directory_of_records(
    patient: Patient, seed: Callable[[Patient], None], check: str, says: str
) -> None:
    seed(patient)
    wrong = patient.wrong()
    assert list(wrong) == [check], wrong
    assert says in wrong[check]


def test_nothing_is_left_in_the_directory_of_records(patient: Patient) -> None:
    directory = _records(patient)
    assert patient.wrong() == {}
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("ssh", "says"),
    [
        (None, "there is no ssh on the PATH"),
        ("OpenSSH_6.6.1p1, OpenSSL 1.0.1f", "OpenSSH_6.6.1p1, OpenSSL 1.0.1f is too old"),
        ("Dropbear v2022.83", "ssh is not OpenSSH's"),
    ],
)
def test_the_ssh_client(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, ssh: str | None, says: str
) -> None:
    programs = patient.directory / "programs"
    programs.mkdir()
    (programs / "ssh-keygen").symlink_to(str(shutil.which("ssh-keygen")))
    if ssh:
        (programs / "ssh").write_text(f"#!/bin/sh\necho '{ssh}' >&2\n")
        (programs / "ssh").chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(programs))
    monkeypatch.setenv("PATH", str(programs))
    wrong = patient.wrong()
    assert list(wrong) == ["ssh"], wrong
    assert says in wrong["ssh"]


def test_all_mistakes_of_the_configuration(patient: Patient) -> None:
    patient.settings["Fargate"]["Cluster"] = "no such name!"
    del patient.settings["SSH"]["Username"]
    found = patient.findings()
    lines = [one.found for one in found if one.status is Status.WRONG]
    assert ["[Fargate] Cluster" in lines[0], "[SSH] Username: is missing" in lines[1]] == [True] * 2
    assert {one.check for one in found if one.status is Status.WRONG} == {"configuration"}
    assert [one.check for one in found if one.status is Status.UNCHECKED] == ["all"]


def test_a_key_that_is_ignored(patient: Patient) -> None:
    patient.settings["Fargate"]["Subnett"] = "subnet-0abc"
    wrong = patient.wrong()
    assert list(wrong) == ["configuration"]
    assert "did you mean Subnet?" in wrong["configuration"]


def _runner(patient: Patient, **changes: Any) -> Path:
    """Write a config.toml that is right but for the changes; None removes a key."""
    custom: dict[str, Any] = {"graceful_kill_timeout": 240}
    for stage in ("config", "prepare", "run", "cleanup"):
        custom[f"{stage}_exec"] = str(DRIVER)
        custom[f"{stage}_args"] = ["--config", str(patient.config), "custom", stage]
    custom |= changes.pop("custom", {})
    runner = {"name": "fargate", "executor": "custom"} | changes
    lines = ["concurrent = 4", "[[runners]]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in runner.items()]
    lines += ["[runners.custom]"]
    lines += [f"{key} = {json.dumps(v)}" for key, v in custom.items() if v is not None]
    path = patient.directory / "config.toml"
    path.write_text("\n".join(lines))
    return path


def _wrong_runner(patient: Patient, path: Path) -> dict[str, str]:
    """What is wrong with a config.toml, without a look at anything else."""
    patient.write()
    config = settings.load(flags(config=str(patient.config))).settings
    found = runner_config.look(path, config, str(patient.config))
    return {one.check: one.found for one in found if one.status is Status.WRONG}


def test_a_runner_that_is_right(patient: Patient) -> None:
    found = {one.check: one for one in patient.findings(_runner(patient))}
    assert not [one for one in found.values() if one.status is Status.WRONG]
    for check in ("runner-config", "runner-stages", "runner-directories", "runner-timeouts"):
        assert found[check].status is Status.OK


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({"executor": "shell"}, "runner-config", "no runner has the custom executor"),
        ({"shell": "powershell"}, "runner-shell", "shell = 'powershell'"),
        ({"custom": {"cleanup_exec": None}}, "runner-stages", "cleanup_exec is missing"),
        ({"custom": {"run_exec": "/nowhere"}}, "runner-stages", "/nowhere is no program"),
        ({"custom": {"run_exec": "/bin/echo"}}, "runner-stages", "/bin/echo is not this driver"),
        (
            {"custom": {"run_args": ["--config", "fargate.toml", "custom", "run"]}},
            "runner-stages",
            "fargate.toml is relative",
        ),
        (
            {"custom": {"run_args": ["--config", "/other.toml", "custom", "run"]}},
            "runner-stages",
            "run_args name another file: /other.toml",
        ),
        (
            {"custom": {"graceful_kill_timeout": None}},
            "runner-timeouts",
            "graceful_kill_timeout is 600 s",
        ),
        (
            {"custom": {"prepare_exec_timeout": 600}},
            "runner-timeouts",
            "prepare_exec_timeout is 600 s, StartTimeout 600 s",
        ),
    ],
)
def test_a_mistake_in_the_runners_configuration(
    patient: Patient, changes: dict[str, Any], check: str, says: str
) -> None:
    wrong = _wrong_runner(patient, _runner(patient, **changes))
    assert list(wrong) == [check], wrong
    assert says in wrong[check]


def test_stages_that_are_mixed_up(patient: Patient) -> None:
    swapped = ["--config", str(patient.config), "custom", "cleanup"]
    wrong = _wrong_runner(patient, _runner(patient, custom={"run_args": swapped}))
    assert list(wrong) == ["runner-stages"]
    assert "run_args call the stage cleanup" in wrong["runner-stages"]


def test_folders_that_nobody_names(patient: Patient) -> None:
    del patient.settings["Fargate"]["BuildsDir"]
    patient.settings.pop("Images", None)
    wrong = _wrong_runner(patient, _runner(patient))
    assert list(wrong) == ["runner-directories"]
    assert "builds_dir (BuildsDir)" in wrong["runner-directories"]


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "No such file"), ("[[runners", "is not valid TOML"), ("runners = 1", "no list")],
)
def test_a_runners_file_that_is_none(patient: Patient, text: str | None, says: str) -> None:
    path = patient.directory / "config.toml"
    if text:
        path.write_text(text)
    wrong = _wrong_runner(patient, path)
    assert list(wrong) == ["runner-config"]
    assert says in wrong["runner-config"]


def test_limits_of_gitlab_runners_process() -> None:
    assert runner_limits.judge(100, 1024, None).status is Status.WRONG
    assert runner_limits.judge(100, 4096, 500).status is Status.WRONG
    assert runner_limits.judge(100, 4096, 4915).status is Status.OK
    assert runner_limits.judge(100, None, None).status is Status.OK


def _doctor(patient: Patient, *words: str) -> subprocess.Popen[str]:
    patient.write()
    return subprocess.Popen(
        [*FARGATE, "--config", str(patient.config), "doctor", *words],
        env=patient.fargate.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_run_starts_a_task_and_leaves_nothing(patient: Patient) -> None:
    with _doctor(patient, "--run", "--json") as doctor:
        stdout, stderr = doctor.communicate(timeout=120)
    answer = json.loads(stdout)
    assert doctor.returncode == 0, stdout + stderr
    assert answer["ok"] is True
    run = answer["checks"][-1]
    assert (run["check"], run["status"], run["mend"]) == ("run", "ok", None)
    assert all(phase in run["found"] for phase in ("start", "line", "stop"))
    assert list((patient.directory / "records").glob("[0-9]*")) == []


def test_run_with_an_sshd_that_refuses(patient: Patient) -> None:
    patient.settings["Fargate"]["StartTimeout"] = 8
    patient.fargate.faults({"task": {"sshd_refuses_key": True}})
    with _doctor(patient, "--run") as doctor:
        stdout, _ = doctor.communicate(timeout=120)
    assert doctor.returncode == 1
    assert next(line for line in stdout.splitlines() if "✗" in line).split()[:2] == ["✗", "run"]
    assert "refuses the job's key" in " ".join(stdout.split())


def test_run_that_is_cancelled(patient: Patient) -> None:
    patient.fargate.faults({"task": {"sshd_refuses_key": True}})
    with _doctor(patient, "--run") as doctor:
        until(patient.fargate.alive)
        time.sleep(0.2)
        os.kill(doctor.pid, signal.SIGINT)
        stdout, _ = doctor.communicate(timeout=60)
    assert doctor.returncode == 1
    assert "cancelled" in stdout


def test_run_that_is_killed_is_for_reap(patient: Patient) -> None:
    patient.fargate.faults({"task": {"sshd_refuses_key": True}})
    with _doctor(patient, "--run") as doctor:
        until(patient.fargate.alive)
        os.kill(doctor.pid, signal.SIGKILL)
    words = [*FARGATE, "--config", str(patient.config), "reap"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stderr
    assert "its gitlab-runner is gone" in said.stdout
    assert list((patient.directory / "records").glob("[0-9]*")) == []
    until(lambda: not patient.fargate.alive())
