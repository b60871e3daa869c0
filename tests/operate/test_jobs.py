"""`fargate jobs`: what it shows of running, ended and hostile jobs, in terminals of any width."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver_calls import JobCalls
from fargate_driver import history
from local_fargate import FARGATE, LocalFargate, until
from recorded_jobs import CONFIG, record
from tmux import terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from operated_job import OperatedJob

    MakeJob = Callable[..., OperatedJob]

HOSTILE = "\x1b]0;title\x07\x1b[31m[bold red]x[/]\r\n\u202egpj\x9b2J\ud800"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "fargate.toml"
    file.write_text(CONFIG)
    return file


def shown(config: Path, *words: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FARGATE, "--config", str(config), "jobs", *words],
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_job_from_its_start_to_its_end(make_job: MakeJob, fargate: LocalFargate) -> None:
    job = make_job()
    fargate.faults({"operation": "StopTask", "hang": 3.0})

    def states() -> list[str]:
        found = json.loads(job.fargate("jobs", "--json").stdout)
        return [f"{one['state']} {one.get('stage', '')}" for one in found]

    assert states() == ["running build_script"]
    (one,) = json.loads(job.fargate("jobs", "--json").stdout)
    assert one["project"] == "group/project"
    assert one["definition"] == fargate.settings["Fargate"]["TaskDefinition"]
    assert one["task_arn"] == fargate.alive()[0]["taskArn"]
    assert job.finish_stage() == 1
    assert states() == ["running "]
    with job.start("cleanup", CI_JOB_STATUS="failed") as process:
        until(lambda: states() == ["ending "])
        process.communicate(timeout=60)
    assert states() == ["failed "]
    fargate.faults()


def test_a_job_that_starts_and_fails_to(fargate: LocalFargate, tmp_path: Path) -> None:
    job = JobCalls(tmp_path / "job", fargate.config, 2001)
    fargate.faults({"task": {"never_starts": True}})
    command = [*FARGATE, "--config", str(fargate.config), "jobs"]
    with job.start("prepare") as process:

        def text() -> str:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        until(lambda: "2001" in text())
        (line,) = (line for line in text().splitlines() if line.startswith("2001"))
        assert "starting" in line
        process.terminate()
        process.communicate(timeout=60)
    (line,) = (line for line in text().splitlines() if line.startswith("2001"))
    assert "canceled" in line
    fargate.faults()


def test_hostile_names_are_shown_as_text(config: Path) -> None:
    made = record(config.parent, 1, project=HOSTILE, name=HOSTILE, image=HOSTILE)
    history.append(str(config.parent / "records"), history.entry(made, HOSTILE))
    for columns in (80, 200):
        done = shown(config, columns=columns)
        assert (done.returncode, done.stderr) == (0, "")
        assert "[bold red]x" in done.stdout
        assert not set("\x1b\x07\r\x9b\u202e") & set(done.stdout)
    found = json.loads(shown(config, "--json").stdout)
    assert [one["name"] for one in found] == [HOSTILE, HOSTILE]


def test_damaged_and_old_records_do_no_harm(config: Path) -> None:
    made = record(config.parent, 1)
    (Path(record(config.parent, 2).directory) / "record.json").write_text("{")
    (config.parent / "records" / f"3-{3:020x}").mkdir()
    made.about = {}
    made.launches[0].size = {}
    made.save()
    done = shown(config)
    assert "1 running" in done.stdout
    assert "job 1 " in done.stdout


def test_what_dead_runners_left_is_marked(config: Path) -> None:
    record(config.parent, 1)
    (config.parent / "tmp-1").rmdir()
    assert "left behind" in shown(config).stdout


def test_no_jobs_and_wrong_calls(config: Path) -> None:
    assert shown(config).stdout == "0 running\n"
    assert json.loads(shown(config, "--json").stdout) == []
    done = shown(config, "--watch")
    assert done.returncode == 2
    assert "--watch draws on a terminal" in done.stderr


def test_watching_at_80_columns(config: Path, tmp_path: Path) -> None:
    for number in range(12345678901, 12345678904):
        record(tmp_path, number, project=f"a-long-group/with-a-subgroup/project-{number}")
    command = [*FARGATE, "--config", str(config), "jobs", "--watch"]
    # A run stage is told by its command line and its working directory.
    stage = ["sleep", "60", "custom", "run", "/tmp/script", "build_script"]
    with (
        subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()", *stage],
            cwd=tmp_path / "tmp-12345678902",
            stdin=subprocess.PIPE,
        ) as run,
        terminal(tmp_path, command, width=80, height=12) as drawn,
    ):
        screen = drawn.wait_for("running build_script")
        lines = screen.splitlines()
        assert lines[0].rstrip() == "3 running"
        assert lines[1].split() == ["JOB", "PROJECT", "STATE", "TIME", "VCPU/GB", "TASK"]
        assert [line.split()[0] for line in lines[2:5]] == [
            *("12345678901", "12345678902", "12345678903")
        ]
        assert "0.5/2" in lines[3]
        assert "01234567" in lines[3]
        assert "…" in lines[3]
        assert len({line.index("0.5/2") for line in lines[2:5]}) == 1
        drawn.resize(160, 12)
        wide = drawn.wait_for("FARGATE_SPOT")
        assert "ci:3" in wide
        run.communicate()
        deadline = time.monotonic() + 30
        while "build_script" in drawn.screen() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert "build_script" not in drawn.screen()
        drawn.send("C-c")
        assert drawn.wait() == 0
        assert "running" not in drawn.screen()
        assert "Traceback" not in drawn.screen()


def test_the_jobs_of_another_user(config: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    record(config.parent, 1)
    os.chown(config.parent / "records", 65534, -1)
    for words in (["jobs"], ["shell"], ["logs", "1"]):
        done: Any = subprocess.run(
            [*FARGATE, "--config", str(config), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "sudo -u nobody fargate" in done.stderr
        assert len(done.stderr.splitlines()) == 1
