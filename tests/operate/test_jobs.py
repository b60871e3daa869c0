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
from fargate_driver.costs.bill import Bill
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


def test_damaged_old_and_newer_records_do_no_harm(config: Path) -> None:
    made = record(config.parent, 1)
    damaged = Path(record(config.parent, 2).directory, "record.json")
    damaged.write_text("{")
    (config.parent / "records" / f"3-{3:020x}").mkdir()
    newer = Path(record(config.parent, 4).directory, "record.json")
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"version": 999}))
    made.about = {}
    made.launches[0].size = {}
    made.save()
    for words in ((), ("--cost",), ("--json",)):
        done = shown(config, *words)
        assert done.returncode == 0
        # Each is told in a line of its own, which programs don't read.
        one, other = sorted(done.stderr.splitlines(), key=lambda line: str(newer) in line)
        assert str(damaged) in one
        assert f"{newer}: written by another version of the driver" in other
    done = shown(config)
    assert "1 running, 2 unreadable" in done.stdout
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
        made = record(tmp_path, number, project=f"a-long-group/with-a-subgroup/project-{number}")
        Bill("0.5 vCPU", 0.05, time.time() - 600).save(made.directory)
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
        assert lines[1].split() == ["JOB", "PROJECT", "STATE", "TIME", "VCPU/GB", "COST"]
        assert [line.split()[0] for line in lines[2:5]] == [
            *("12345678901", "12345678902", "12345678903")
        ]
        assert "a-long-group/w" in lines[3]
        assert "0.5/2" in lines[3]
        assert "$0.0" in lines[3]
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


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, 200])
def test_terminals_of_any_width(config: Path, columns: int) -> None:
    record(config.parent, 12345678901, project="group/project")
    done = shown(config, columns=columns)
    assert max(map(len, done.stdout.splitlines())) <= columns
    assert " \n" not in done.stdout
    if columns >= 40:
        assert "12345678901" in done.stdout
        assert "starting" in done.stdout


@pytest.mark.parametrize(
    ("environment", "words", "code", "said"),
    [
        ({"TERM": "dumb"}, ["jobs"], 0, ""),
        ({"TERM": ""}, ["jobs"], 0, ""),
        ({"LC_ALL": "C"}, ["jobs"], 0, ""),
        ({"PYTHONIOENCODING": "ascii"}, ["prices", "list"], 0, ""),
        ({"PYTHONIOENCODING": "ascii"}, ["jobs", "--bé"], 2, "No such option"),
    ],
)
def test_terminals_of_any_kind(
    config: Path, environment: dict[str, str], words: list[str], code: int, said: str
) -> None:
    record(config.parent, 1, project="größe/日本")
    command = [*FARGATE, "--config", str(config), *words]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == bool(said)
    assert b"\x1b" not in done.stdout


def test_an_output_that_takes_nothing(config: Path) -> None:
    record(config.parent, 1)
    command = [*FARGATE, "--config", str(config), "jobs"]

    def into(target: str) -> tuple[int, str]:
        words = ["bash", "-c", f'"$@" {target}; exit ${{PIPESTATUS[0]}}', "bash", *command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stderr

    full = "fargate: the output can't be written: No space left on device\n"
    assert into(">/dev/full") == (2, full)
    assert into(">&-") == (0, "")
    # A reader that is gone is nobody to complain to.
    _, said = into("| true")
    assert said == ""


def test_a_terminal_that_can_not_be_drawn_on(config: Path, tmp_path: Path) -> None:
    command = ["env", "TERM=dumb", *FARGATE, "--config", str(config), "jobs", "--watch"]
    with terminal(tmp_path, command, width=100) as drawn:
        assert drawn.wait() == 2
        assert "--watch moves the cursor, and TERM=dumb says that it can't be" in drawn.screen()


def test_a_job_that_is_not_there(config: Path) -> None:
    for number in (1001, 2002):
        record(config.parent, number)
    for words, said in (
        (["shell", "1010"], "no running job '1010' on this host: did you mean 1001?"),
        (["shell", "x"], "no running job 'x' on this host; running: 1001, 2002"),
        (["shell", "0123"], "which job? name one by its number or its task's id: 1001 (task"),
        (["logs", "2020"], "no job '2020' on this host or in its history: did you mean 2002?"),
        (["logs", "0123"], "more than one running job is meant by '0123': 1001 (task"),
    ):
        command = [*FARGATE, "--config", str(config), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"fargate: {said}")


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
