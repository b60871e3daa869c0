"""`fargate try`: its exit codes, its result, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_fargate import until

if TYPE_CHECKING:
    from local_fargate import LocalFargate

TRY = (sys.executable, "-m", "fargate_driver", "try")


def run(*words: str, **rest: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TRY, *words], capture_output=True, text=True, timeout=150, check=False, **rest
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_words_of_the_command_stay_words(fargate: LocalFargate) -> None:
    words = ("printf", "<%s>", "a  b", "$HOME", "it's", "*", "")
    done = run("--config", str(fargate.config), "--json", "--", *words, env=fargate.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<a  b><$HOME><it's><*><>" in done.stdout
    result = result_of(done)
    assert (result["status"], result["exit_code"]) == ("success", 0)
    assert (result["stage"], result["failure_reason"]) == (None, None)
    assert {"config", "prepare", "build_script", "cleanup"} <= set(result["phases"])


def test_the_stage_that_decided(fargate: LocalFargate) -> None:
    words = ("--config", str(fargate.config), "--json")
    refused = ("--variable", "FARGATE_TASK_DEFINITION=not / valid")
    done = run(*words, *refused, "--", "true", env=fargate.environment)
    assert done.returncode == 1
    result = result_of(done)
    del result["phases"]
    assert result == {
        "status": "script_failure",
        "stage": "prepare",
        "exit_code": None,
        "reported_exit_code": 1,
        "failure_reason": "script_failure",
    }
    result = result_of(run(*words, "--", "sh", "-c", "exit 7", env=fargate.environment))
    del result["phases"]
    assert result == {
        "status": "script_failure",
        "stage": "build_script",
        "exit_code": 7,
        "reported_exit_code": 7,
        "failure_reason": "script_failure",
    }


def test_script_file_and_variables(fargate: LocalFargate, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("cat <<END\nhere $GREETING\nEND\nif true\nthen\n  exit 9\nfi\n")
    words = ("--shell", "sh", "--variable", "GREETING=a=b $X", "--script", str(script))
    done = run("--config", str(fargate.config), *words, env=fargate.environment)
    assert done.returncode == 9, done.stdout + done.stderr
    assert "here a=b $X\n" in done.stdout
    assert "\x1b[36" not in done.stdout


def test_image_and_services_reach_the_driver(fargate: LocalFargate, tmp_path: Path) -> None:
    """One's own configuration is never exchanged for another, whatever it is called."""
    mine = tmp_path / "fargate.toml"
    mine.write_text(fargate.config.read_text().partition("\n")[2])
    with_images = tmp_path / "images.toml"
    with_images.write_text("no TOML")
    words = ("--image", "alpine:3.20", "--service", "redis:7", "--service", "postgres:16")
    done = run("--config", str(mine), *words, "--", "true", env=fargate.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alpine:3.20" in done.stdout
    assert "postgres:16" in done.stdout


def test_a_local_fargate_runs_no_other_image_than_the_one_asked_for(fargate: LocalFargate) -> None:
    if not (fargate.directory / "images.toml").exists():
        pytest.skip("this runtime has no images")
    words = ("--config", str(fargate.config), "--image", "example.com/missing:1")
    done = run(*words, "--", "echo", "green", env=fargate.environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "fargate local image import example.com/missing:1" in done.stderr
    assert "\ngreen\n" not in done.stdout


def test_system_failure(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    done = run("--config", str(missing), "--json", "--", "true")
    assert done.returncode == 2
    result = result_of(done)
    assert (result["status"], result["exit_code"]) == ("system_failure", None)
    # Once, and not by every try of every stage.
    assert done.stderr.count(str(missing)) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "name either a command after -- or a file with --script"),
        (("--script", "a", "--", "b"), "name either a command after -- or a file with --script"),
        (("--script", "/missing/job.sh"), "--script /missing/job.sh: No such file"),
        (("--variable", "1=x", "--", "true"), "is no variable name"),
        (("--variable", "KEY", "--", "true"), "expected NAME=VALUE"),
        (("--shell", "fish", "--", "true"), "'fish'"),
    ],
)
def test_wrong_command_lines(words: tuple[str, ...], complaint: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_cancels_the_job(tmp_path: Path, number: signal.Signals) -> None:
    """On an embedded Fargate of its own: that, the job and all files are gone afterwards."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    marker = f"FARGATE_TRY_TEST={tmp_path}"
    with subprocess.Popen(
        [*TRY, "--", "sh", "-c", "echo be''gun; sleep 3434"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "FARGATE_TRY_TEST": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        shown = ""
        for line in process.stdout:
            shown += line
            if line == "begun\n":
                process.send_signal(number)
                break
        shown += process.stdout.read()
        assert process.wait(60) == 128 + number, shown
    assert "Job failed: canceled" in shown
    assert list(temporary.iterdir()) == []
    until(lambda: not marked(marker), lambda: f"left: {marked(marker)}")


def test_what_a_killed_one_leaves_is_for_reap(fargate: LocalFargate, tmp_path: Path) -> None:
    words = [*TRY, "--config", str(fargate.config), "--", "sh", "-c", "echo be''gun; sleep 3435"]
    environment = {**fargate.environment, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        shown = iter(process.stdout.readline, "")
        assert "begun\n" in shown
        process.kill()
    reap = [*TRY[:-1], "--config", str(fargate.config), "reap"]
    said = subprocess.run(reap, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("ended job ")
    # The fixture sees that no task, process or record is left.


def test_a_killed_one_with_a_fargate_of_its_own_ends_by_itself(tmp_path: Path) -> None:
    words = [*TRY, "--", "sh", "-c", "echo be''gun; sleep 3436"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "FARGATE_TRY_TEST": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        shown = iter(process.stdout.readline, "")
        assert "begun\n" in shown
        process.kill()
    marker = f"FARGATE_TRY_TEST={tmp_path}"
    until(lambda: not marked(marker), lambda: f"left: {marked(marker)}", seconds=120)


def marked(marker: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found
