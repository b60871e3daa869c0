"""`fargate shell` in real terminals, against a job that runs on the local Fargate."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from local_fargate import LocalFargate, until
from operated_job import PROJECT, OperatedJob
from tmux import terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeJob = Callable[..., OperatedJob]


@pytest.fixture(scope="module")
def job(make_job: MakeJob) -> OperatedJob:
    return make_job()


def test_a_terminal(job: OperatedJob, tmp_path: Path) -> None:
    with terminal(tmp_path, job.command("shell"), width=80, height=24) as shown:
        shown.type("stty size; pwd")
        shown.wait_for(f"24 80\n{PROJECT}")
        shown.resize(100, 30)
        shown.type("stty size")
        shown.wait_for("30 100")
        shown.type("tput setaf 1; echo red; tput sgr0")
        shown.wait_for("\nred")
        assert "\x1b[31mred" in shown.screen(colours=True)
        shown.type("echo begun; sleep 1000")
        shown.wait_for("\nbegun")
        shown.send("C-c")
        shown.type("echo $?")
        shown.wait_for("\n130")
        shown.type("echo env=$FARGATE_STAGE_ID$CI_JOB_ID$SSH_TTY; exit 37")
        shown.wait_for("env=terminal-")
        assert shown.wait() == 37
    assert job.stage is not None
    assert job.stage.poll() is None


def test_two_terminals_at_once(job: OperatedJob, tmp_path: Path) -> None:
    with (
        terminal(tmp_path, job.command("shell", job.number)) as one,
        terminal(tmp_path, job.command("shell", job.number)) as other,
    ):
        one.type("echo one >$$-note; cat *-note; rm *-note; exit 1")
        one.wait_for("\none")
        other.type("exit 2")
        assert (one.wait(), other.wait()) == (1, 2)


def test_words_of_a_command_stay_words(job: OperatedJob) -> None:
    words = ["a b", "it's", "$HOME", "`id`", "\\n", "*", "", "new\nline", "--", "-x", "ä"]
    done = job.fargate("shell", job.number, "--", "printf", "<%s>", *words)
    assert (done.stdout, done.stderr) == ("".join(f"<{word}>" for word in words), "")


def test_streams_and_exit_codes(job: OperatedJob) -> None:
    done = job.fargate("shell", "--", "sh", "-c", "cat; echo err >&2; exit 9", stdin="in\n" * 1000)
    assert (done.returncode, done.stdout, done.stderr) == (9, "in\n" * 1000, "err\n")
    done = job.fargate("shell", "--", "no-such-program")
    assert done.returncode == 127
    assert done.stderr == "fargate: the container has no program no-such-program\n"
    assert job.fargate("shell", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_the_callers_streams_stay_as_they_were(job: OperatedJob) -> None:
    reading, writing = os.pipe()
    subprocess.run(job.command("shell", "--", "true"), stdin=reading, stdout=writing, check=True)
    for descriptor in (reading, writing):
        assert not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK
        os.close(descriptor)


@pytest.mark.parametrize("wanted", ["999999", "zz", "[bold]", "-1", "\x1b[31m"])
def test_an_unknown_job(job: OperatedJob, wanted: str) -> None:
    done = job.fargate("shell", wanted)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in line
    assert "\x1b" not in line


def test_a_job_by_its_task(job: OperatedJob, fargate: LocalFargate) -> None:
    until(lambda: len(fargate.alive()) == 1)  # those of ended jobs take a moment to stop
    task = fargate.alive()[0]["taskArn"].rpartition("/")[2]
    assert job.fargate("shell", task[:6], "--", "true").returncode == 0


def test_not_more_terminals_than_leave_room_for_stages(job: OperatedJob) -> None:
    command = job.command("shell", job.number, "--", "cat")
    opened = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)
    ]
    try:
        for one in opened:
            assert one.stdin
            assert one.stdout
            one.stdin.write(b"x\n")
            one.stdin.flush()
            assert one.stdout.readline() == b"x\n"
        done = job.fargate("shell", job.number, "--", "true")
        assert done.returncode == 2
        assert "6 terminals of this job are open already" in done.stderr
        assert job.call("run", job.script("exit 0", "more"), "after_script").returncode == 0
    finally:
        for one in opened:
            one.communicate(timeout=30)
    assert [one.returncode for one in opened] == [0] * 6


def test_a_cancel_of_the_stage_spares_the_terminal_which_ends_with_the_job(
    make_job: MakeJob, tmp_path: Path
) -> None:
    this = make_job()
    with terminal(tmp_path, this.command("shell", this.number)) as shown:
        shown.type("echo begun; sleep 1000")
        shown.wait_for("\nbegun")
        assert this.stage is not None
        this.stage.terminate()
        this.stage.communicate(timeout=60)
        this.stage = None
        shown.send("C-c")
        shown.type("echo still here")
        shown.wait_for("\nstill here")
        assert this.call("cleanup").returncode == 0
        assert shown.wait() == 255
        assert f"fargate: job {this.number} has ended" in shown.screen()


def test_a_terminal_that_is_closed_leaves_nothing(job: OperatedJob, tmp_path: Path) -> None:
    with terminal(tmp_path, job.command("shell", job.number)) as shown:
        shown.type("echo $$ >terminal.pid; echo written")
        shown.wait_for("\nwritten")
    pid = job.fargate("shell", job.number, "--", "cat", "terminal.pid").stdout.strip()
    look = job.command("shell", job.number, "--", "kill", "-0", pid)
    until(lambda: subprocess.run(look, capture_output=True, check=False).returncode)
    job.fargate("shell", job.number, "--", "rm", "terminal.pid")


def test_a_commands_output_stays_as_it_is_on_its_way_elsewhere(
    job: OperatedJob, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    line = f"{shlex.join(job.command('shell', job.number, '--', 'echo', 'a'))} >{written}"
    with terminal(tmp_path, ["sh", "-c", line]) as shown:
        assert shown.wait() == 0
    assert written.read_bytes() == b"a\n"


def test_who_reads_no_further_ends_the_command(job: OperatedJob, tmp_path: Path) -> None:
    yes = shlex.join(job.command("shell", job.number, "--", "yes"))
    with terminal(
        tmp_path, ["bash", "-c", f'{yes} | head -n1; exit "${{PIPESTATUS[0]}}"']
    ) as shown:
        assert shown.wait() == 141
        assert "y\nthe exit" in shown.screen()


def test_what_a_closed_terminal_was_waiting_for_ends(job: OperatedJob, tmp_path: Path) -> None:
    with terminal(tmp_path, job.command("shell", job.number)) as shown:
        shown.type("nohup sleep 1000 >nohup.out & echo $! >nohup.pid")
        shown.type("sh -c 'echo $$ >sleep.pid; echo begun; exec sleep 1000'")
        shown.wait_for("\nbegun")
    _ends(job, "sleep.pid")
    kept = job.fargate("shell", job.number, "--", "cat", "nohup.pid").stdout.strip()
    # What was told to outlive a terminal does.
    assert job.fargate("shell", job.number, "--", "kill", kept).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command(job: OperatedJob, number: int) -> None:
    program = "echo $$ >signal.pid; echo begun; sleep 1000 & wait"
    command = job.command("shell", job.number, "--", "sh", "-c", program)
    with (
        subprocess.Popen(job.command("shell", "--", "cat"), stdin=subprocess.PIPE) as other,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
        assert other.poll() is None
        _ends(job, "signal.pid")
        other.communicate(timeout=30)
        assert other.returncode == 0


def test_a_hang_up_before_the_program_began_keeps_it_from_beginning(job: OperatedJob) -> None:
    for moment in (0.0, 0.1, 0.2, 0.3, 0.4):
        program = "echo $$ >>early.pid; exec sleep 1000"
        process = subprocess.Popen(
            job.command("shell", job.number, "--", "sh", "-c", program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moment)
        process.terminate()
        assert process.wait(timeout=30) in {143, -signal.SIGTERM}
    time.sleep(1)
    _ends(job, "early.pid")


def _ends(job: OperatedJob, *files: str) -> None:
    """Wait until the processes whose numbers are in files of the job's folder are no more."""
    text = "for p in $(cat {}); do ! kill -0 $p || exit 1; done; rm -f {}"
    words = ("sh", "-c", text.format(*files, *files))
    until(lambda: job.fargate("shell", job.number, "--", *words).returncode == 0)


def test_the_job_keeps_its_verdict(make_job: MakeJob) -> None:
    this = make_job()
    assert this.fargate("shell", this.number, "--", "sh", "-c", "exit 9").returncode == 9
    assert this.finish_stage() == 1
    assert this.code_file.read_text().strip() == "3"
    this.end()
