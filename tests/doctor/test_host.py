"""One thing about this host or its files is wrong: the doctor names it, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doctor.patient import toml
from fargate_driver import records
from fargate_driver.doctor import files
from fargate_driver.doctor.finding import Status
from fargate_driver.doctor.plan import play
from fargate_driver.ecs.target import Target
from fargate_driver.owner import owner_of_this_call
from fargate_driver.settings import file
from fargate_driver.ssh import session
from fargate_driver.ssh.environment import ENVIRONMENT
from front_calls import fargate, flags
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


def _too_long(patient: Patient) -> None:
    patient.settings["TaskMetadata"]["Directory"] = str(patient.directory / ("x" * 300))


def _strangers(patient: Patient) -> None:
    os.chown(_records(patient), 12345, -1)


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
        (_too_long, "records", "File name too long"),
        pytest.param(_strangers, "records", "belongs to user 12345", marks=pytest.mark.root),
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


def _no_folder(patient: Patient) -> None:
    patient.settings["Metrics"] = {"TextFile": "nowhere/fargate.prom"}


def _no_metrics_there(patient: Patient) -> None:
    patient.settings["Metrics"] = {"TextFile": "/proc/sys/fargate.prom"}


def _no_log_there(patient: Patient) -> None:
    patient.more = '[Costs]\n[[Capacity]]\nLaunchType = "FARGATE"\n'
    patient.settings = {"": {"LogFile": str(patient.directory)}} | patient.settings


def _name_too_long(patient: Patient) -> None:
    patient.settings = {"": {"LogFile": f"/tmp/{'x' * 300}"}} | patient.settings


def _folder_too_long(patient: Patient) -> None:
    patient.settings["Metrics"] = {"TextFile": f"{'x' * 300}/fargate.prom"}


def _damaged_prices(patient: Patient) -> None:
    (patient.directory / "prices.json").write_text("{}")
    patient.settings["Costs"] = {"PriceFile": "prices.json"}


@pytest.mark.parametrize(
    ("seed", "check", "says"),
    [
        (_no_folder, "text-file", "mkdir -p"),
        (_no_metrics_there, "text-file", "/proc/sys can't be written to"),
        (_no_log_there, "log-file", "is a folder"),
        (_name_too_long, "log-file", "File name too long"),
        (_folder_too_long, "text-file", "File name too long"),
        (_damaged_prices, "price-file", "is no file of prices"),
    ],
)
def test_files_that_the_settings_name(
    patient: Patient, seed: Callable[[Patient], None], check: str, says: str
) -> None:
    seed(patient)
    wrong = patient.wrong()
    assert list(wrong) == [check], wrong
    assert says in wrong[check]


def test_a_mistake_of_the_doctors_hides_nothing(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(files, "look", broken)
    assert "internal error: ZeroDivisionError: odd" in patient.wrong()["this host"]
    assert "ssh" in {one.check for one in patient.findings()}


def test_files_that_are_right(patient: Patient) -> None:
    log, text = patient.directory / "log", patient.directory / "fargate.prom"
    log.write_text("kept")
    patient.settings = {"": {"LogFile": str(log)}} | patient.settings
    patient.settings["Metrics"] = {"TextFile": text.name}
    patient.settings["Costs"] = {"PriceFile": "later.json"}
    before = sorted(patient.directory.iterdir())
    found = {one.check: one.status for one in patient.findings()}
    assert found["log-file"] is found["text-file"] is Status.OK
    assert found["price-file"] is Status.UNCHECKED
    assert sorted(patient.directory.iterdir()) == sorted([*before, patient.config])
    assert log.read_text() == "kept"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("[Fargate", "is not valid TOML"),
        ("[[runners]]", "is gitlab-runner's own configuration"),
        ("[TaskMetadata]\nDirectory = '/x'\n[SSH]\nUsername = 'root'", "[Fargate]"),
    ],
)
def test_a_configuration_that_is_none(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "fargate.toml"
    if text is not None:
        path.write_text(text)
    found = [one for group in play(flags(config=str(path)), None, run=True) for one in group[1]]
    wrong = [one for one in found if one.status is Status.WRONG]
    assert wrong
    assert {one.check for one in wrong} == {"configuration"}
    assert says in wrong[0].found
    assert [one.check for one in found if one.status is Status.UNCHECKED] == ["all"]


def test_a_folder_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("[[runners]]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file, "CANDIDATES", ("config.toml", "fargate.toml"))
    found = [one for group in play(flags(), None, run=False) for one in group.findings]
    wrong = [one for one in found if one.status is Status.WRONG]
    assert len(wrong) == 1
    assert "no configuration file" in wrong[0].found
    assert "fargate init" in wrong[0].mend


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


def _doctor(patient: Patient, *words: str) -> subprocess.Popen[str]:
    patient.write()
    return subprocess.Popen(
        [*FARGATE, "--config", str(patient.config), "doctor", *words],
        env=patient.fargate.environment | {"TMPDIR": str(patient.directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_terminal_of_few_letters(patient: Patient) -> None:
    patient.settings["SSH"]["Username"] = "ü\x1b[2J"
    patient.write()
    words = ("--config", str(patient.config), "doctor")
    answer = fargate(*words, cwd=patient.directory, env={"PYTHONIOENCODING": "ascii"})
    assert answer.returncode == 1
    assert " X configuration" in answer.stdout
    assert "Username: '?" in answer.stdout
    assert "\x1b" not in answer.stdout
    assert answer.stderr == ""


def test_an_interrupt_waits_for_no_answer(patient: Patient) -> None:
    _records(patient)
    called = patient.directory / "called"
    program = patient.directory / "program"
    program.write_text(f"#!/bin/sh\necho > {called}\n")
    program.chmod(0o755)
    custom = {"run_exec": str(program), "run_args": ["--config", str(patient.config)]}
    runner = patient.directory / "config.toml"
    runner.write_text(f"runners = [{toml({'executor': 'custom', 'custom': custom})}]")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patient.settings["Fargate"]["EndpointURL"] = url
        with _doctor(patient, "--runner-config", str(runner)) as doctor:
            # The last thing that is done before AWS's answer is awaited.
            until(called.exists)
            os.kill(doctor.pid, signal.SIGINT)
            stdout, stderr = doctor.communicate(timeout=60)
    assert doctor.returncode != 0
    assert "wrong" not in stdout, "it has waited for the answer"
    assert "Traceback" not in stderr
    assert list((patient.directory / "records").iterdir()) == []


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


def test_run_waits_for_nothing_where_a_task_is_known_to_fail(patient: Patient) -> None:
    patient.settings["Fargate"]["ContainerName"] = "ci"
    patient.write()
    groups = list(play(flags(config=str(patient.config)), None, run=True))
    run = groups[-1].findings[0]
    assert (run.status, run.found) == (
        Status.UNCHECKED,
        "first mend what a task needs: container",
    )


def test_run_that_is_cancelled(patient: Patient) -> None:
    patient.fargate.faults({"task": {"sshd_refuses_key": True}})
    with _doctor(patient, "--run") as doctor:
        until(patient.fargate.alive)
        time.sleep(0.2)
        os.kill(doctor.pid, signal.SIGINT)
        stdout, _ = doctor.communicate(timeout=60)
    assert doctor.returncode == 1
    assert "cancelled" in stdout
    assert list(patient.directory.glob("fargate-doctor-*")) == []
    assert list((patient.directory / "records").glob("[0-9]*")) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/script"), "device (/tmp/script)"),
        (ZeroDivisionError("odd"), "internal error: ZeroDivisionError: odd"),
    ],
)
def test_run_that_fails_anyhow_stops_its_task(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        assert patient.fargate.alive()
        raise error

    monkeypatch.setattr(session, "run_script", fails)
    patient.write()
    run = list(play(flags(config=str(patient.config)), None, run=True))[-1].findings[0]
    assert (run.check, run.status) == ("run", Status.WRONG)
    assert told in run.found
    assert list((patient.directory / "records").glob("[0-9]*")) == []


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
