"""Scripts, files and surroundings that mean no good, and answers that never come."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from driver_calls import JobCalls
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.session import Outcome
from fargate_driver.stages import cleanup, killed, lost, run
from free_port import free_port
from front_calls import flags
from local_fargate import FARGATE, LocalFargate, processes_in, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

JOB_IDS = itertools.count(8000)


@pytest.fixture
def new_job(fargate: LocalFargate, tmp_path: Path) -> Iterator[Callable[[], JobCalls]]:
    made = []

    def make() -> JobCalls:
        number = next(JOB_IDS)
        made.append(JobCalls(tmp_path / f"job{number}", fargate.config, number))
        return made[-1]

    yield make
    fargate.faults()
    for one in made:
        assert one.call("cleanup").returncode == 0


@pytest.fixture
def job(new_job: Callable[[], JobCalls]) -> JobCalls:
    prepared = new_job()
    assert prepared.call("prepare").returncode == 0
    return prepared


def records(fargate: LocalFargate) -> Path:
    return fargate.directory / "fargate-local" / "jobs"


def test_a_lost_answer_and_then_failures_leave_no_task(
    fargate: LocalFargate, new_job: Callable[[], JobCalls]
) -> None:
    fargate.faults(
        {"operation": "RunTask", "lose_answer": True},
        {"operation": "RunTask", "failure": {"reason": "Capacity is unavailable at this time"}},
    )
    assert new_job().call("prepare").returncode == 2
    until(lambda: not fargate.alive())


def test_cleanup_that_reaches_nobody_keeps_the_record(
    fargate: LocalFargate, new_job: Callable[[], JobCalls]
) -> None:
    job = new_job()
    fargate.faults({"operation": "RunTask", "hang": 2, "lose_answer": True})
    with job.start("prepare") as process:
        until(fargate.alive)
        os.killpg(process.pid, signal.SIGKILL)
    (directory,) = records(fargate).glob("[0-9]*")
    record = directory / "record.json"
    text = record.read_text()
    record.write_text(text.replace(fargate.url, f"http://127.0.0.1:{free_port()}"))
    with job.start("cleanup") as cleaning:
        time.sleep(4)
        assert cleaning.poll() is None, "it did not try again"
        cleaning.kill()
    assert record.exists()
    record.write_text(text)


@pytest.mark.parametrize(
    "message",
    [
        "Error retrieving subnet information for [subnet-0abc]: The subnet ID does not exist",
        "No Container Instances were found in your cluster.",
        "Security group sg-0abc does not exist in the VPC of the task",
    ],
)
def test_what_the_operator_must_mend_is_no_fault_of_the_job(
    fargate: LocalFargate, new_job: Callable[[], JobCalls], message: str
) -> None:
    rule = {"operation": "RunTask", "error": "InvalidParameterException", "message": message}
    fargate.faults(rule)
    prepared = new_job().call("prepare", FARGATE_TASK_DEFINITION="ci-coordinator:1")
    assert prepared.returncode == 2, prepared.stderr


def test_a_cleanup_with_a_surprise_ends_the_task(
    fargate: LocalFargate, job: JobCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(_env: object) -> None:
        raise TypeError("surprise")

    monkeypatch.setattr("fargate_driver.gitlab.variables.hide_secrets", surprise)
    monkeypatch.setattr(cleanup, "ignore_sigterm", lambda: None)
    monkeypatch.setattr(os, "environ", job.call_environment({}))
    with pytest.raises(TypeError, match="surprise"):
        cleanup.main(flags(config=str(job.config)))
    until(lambda: not fargate.alive())


@pytest.mark.parametrize(
    ("code", "told"),
    [(None, "the connection was lost; ECS can't be asked why: internal error"), (137, ""), (0, "")],
)
def test_a_surprise_of_the_explanation_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, told: str
) -> None:
    def surprise(_directory: str) -> None:
        raise TypeError("surprise")

    monkeypatch.setattr("fargate_driver.records.load", surprise)
    connection = Connection(str(tmp_path), "127.0.0.1", 1, "nobody")
    outcome = Outcome(code, "" if code is not None else "the connection was lost", cancelled=False)
    assert lost.end_of_task(str(tmp_path)) == ""
    monkeypatch.setattr(killed, "_PATIENCE", 0.0)
    found = run._why_no_verdict(str(tmp_path), connection, outcome, 0.0)
    assert found.startswith(told)
    assert bool(found) is bool(told)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("kill -9 0", "137\n"),
        ("kill -9 $$", "137\n"),
        ("kill 0; sleep 5", "143\n"),
        ("setsid sh -c 'kill -9 -$0' $$ ; sleep 9", "137\n"),
    ],
)
def test_a_script_that_kills_itself_has_an_exit_code(job: JobCalls, script: str, code: str) -> None:
    ran = job.call("run", job.script(script), "build_script")
    assert (ran.returncode, job.code_file.read_text()) == (1, code), ran.stderr
    # The size of the local Fargate's own task definition (local/embedded.py).
    hint = "a process of the script was killed (SIGKILL, exit code 137); the task has 4096 MiB: "
    assert (f"fargate: {hint}" in ran.stderr) is (code == "137\n")
    assert ("(next size: cpu 2048, memory 5120)" in ran.stderr) is (code == "137\n")


def test_a_script_of_a_lost_connection_does_not_run_on_beside_the_next(
    fargate: LocalFargate, job: JobCalls
) -> None:
    (directory,) = records(fargate).glob("[0-9]*")
    script = job.script("echo begun; sleep 543.2; touch /tmp/deployed")
    with job.start("run", script, "build_script") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        masters = processes_in(directory)
        assert masters
        # Nothing but the pinned host key is connected to again.
        pinned = (directory / "known_hosts").read_bytes()
        (directory / "known_hosts").write_bytes(b"")
        for pid in masters:
            os.kill(pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the SSH connection was lost" in stderr
    assert "no pinned host key" in stderr
    (directory / "known_hosts").write_bytes(pinned)
    looking = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 543[.]2'; echo looked"
    looked = job.call("run", job.script(looking), "after_script")
    assert (looked.returncode, looked.stdout) == (0, "looked\n"), looked.stderr


def test_a_forged_end_is_no_verdict(job: JobCalls) -> None:
    steal = "n=$(tr '\\0' '\\n' </proc/$PPID/cmdline | grep -x '[0-9a-f]*' | head -1)"
    forged = f'{steal}; printf "\\0fargate-end:$n:000\\n"; sleep 1; exit 3'
    ran = job.call("run", job.script(forged), "build_script")
    assert ran.returncode != 0, ran.stderr


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
def test_what_is_no_script_is_one_line(job: JobCalls, kind: str) -> None:
    path = job.temporary / "no-script"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    ran = job.call("run", str(path), "build_script")
    assert ran.returncode == 2
    assert f"the script {path} can't be read: " in ran.stderr
    assert "internal error" not in ran.stderr


def test_a_log_that_cannot_be_written_ends_the_script(job: JobCalls) -> None:
    script = job.script("while echo on; do sleep 0.1; done & sleep 432.1")
    words = [*FARGATE, "--config", str(job.config), "custom", "run", script, "build_script"]
    line = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *words]
    ran = subprocess.run(
        line, env=job.environment, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert "the job's log can't be written to" in ran.stderr
    looking = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 432[.]1'; echo looked"
    assert job.call("run", job.script(looking), "after_script").stdout == "looked\n"


def test_a_log_that_nobody_needs_changes_no_verdict(job: JobCalls) -> None:
    for code, expected in ((0, 0), (3, 1)):
        script = job.script(f"echo out; exit {code}")
        words = [*FARGATE, "--config", str(job.config), "custom", "run", script, "build_script"]
        line = ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", *words]
        ran = subprocess.run(
            line, env=job.environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert (ran.returncode, ran.stdout) == (expected, "out\n")


def test_a_reader_that_stalls_does_not_delay_a_cancel(job: JobCalls) -> None:
    with job.start("run", job.script("yes"), "build_script") as process:
        time.sleep(2)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(40) == 2
    looking = "cat /proc/[0-9]*/comm | grep -x yes; echo looked"
    assert job.call("run", job.script(looking), "after_script").stdout == "looked\n"


def test_a_link_in_the_records_is_not_followed(
    fargate: LocalFargate, new_job: Callable[[], JobCalls], tmp_path: Path
) -> None:
    job = new_job()
    assert job.call("prepare").returncode == 0
    (directory,) = records(fargate).glob("[0-9]*")
    assert job.call("cleanup").returncode == 0
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    directory.symlink_to(precious)
    try:
        for stage in ("prepare", "cleanup"):
            called = job.call(stage)
            assert called.returncode == 2
            assert "is not a directory of user id" in called.stderr
    finally:
        directory.unlink()
    assert (precious / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of another user")
def test_a_foreign_record_and_link_are_not_used(
    fargate: LocalFargate, job: JobCalls, tmp_path: Path
) -> None:
    (directory,) = records(fargate).glob("[0-9]*")
    (link,) = (p for p in job.temporary.iterdir() if p.is_symlink())
    evil = tmp_path / "evil"
    evil.mkdir()
    link.unlink()
    link.symlink_to(evil)
    os.lchown(link, 65534, 65534)
    ran = job.call("run", job.script("echo mine"), "build_script")
    assert ran.stdout == "mine\n"
    os.chown(directory, 65534, 65534)
    assert job.call("run", job.script("echo mine"), "build_script").returncode == 2
    os.chown(directory, 0, 0)


def test_closed_descriptors_are_not_written_into(job: JobCalls) -> None:
    for redirect in ("2>&-", ">&- 2>&-", "<&- 2>&-"):
        words = [*FARGATE, "--config", str(job.config), "custom", "run", job.script("exit 5"), "b"]
        line = ["sh", "-c", f'exec "$@" {redirect}', "sh", *words]
        ran = subprocess.run(line, env=job.environment, timeout=60, check=False)
        assert (ran.returncode, job.code_file.read_text()) == (1, "5\n")


@pytest.mark.parametrize(
    "damage",
    [
        '"request": []',
        '"request": "x"',
        '"created": "x"',
        '"task_arn": 7',
        '"refused": null',
    ],
)
def test_a_damaged_record_is_named(fargate: LocalFargate, job: JobCalls, damage: str) -> None:
    (directory,) = records(fargate).glob("[0-9]*")
    record = directory / "record.json"
    text = record.read_text()
    name = damage.partition(":")[0]
    at = text.rindex(name)
    record.write_text(text[:at] + damage + ', "x": ' + text[at + len(name) + 1 :])
    cleaned = job.call("cleanup")
    assert cleaned.returncode == 2
    assert f"{record}: the job's record is damaged" in cleaned.stderr
    record.write_text(text)


def test_healthy_is_waited_for_where_the_configuration_says_so(
    fargate: LocalFargate, new_job: Callable[[], JobCalls], tmp_path: Path
) -> None:
    job = new_job()
    job.config = tmp_path / "healthy.toml"
    extra = "[Fargate]\nWaitForHealthy = true\nStartTimeout = 3"
    job.config.write_text(fargate.config.read_text().replace("[Fargate]", extra))
    # The registered task definition has no health check: HEALTHY never comes.
    prepared = job.call("prepare")
    assert prepared.returncode == 2
    assert "not usable within StartTimeout; ECS last showed it as RUNNING" in prepared.stderr


def test_tags_are_sent_where_the_configuration_has_them(
    fargate: LocalFargate, new_job: Callable[[], JobCalls], tmp_path: Path
) -> None:
    job = new_job()
    job.config = tmp_path / "tags.toml"
    extra: Any = '[Fargate]\nTags = {team = "ci", "cost center" = "7"}\nPropagateTags = true'
    job.config.write_text(fargate.config.read_text().replace("[Fargate]", extra))
    assert job.call("prepare").returncode == 0
    (directory,) = records(fargate).glob("[0-9]*")
    assert '"propagateTags": "TASK_DEFINITION"' in (directory / "record.json").read_text()
    (task,) = fargate.alive()
    assert {t["key"]: t["value"] for t in task["tags"]} == {"team": "ci", "cost center": "7"}
