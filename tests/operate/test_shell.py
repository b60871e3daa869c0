"""`fargate shell` in real terminals, against a job that runs on the local Fargate."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh.terminal import terminal_command
from local_fargate import LocalFargate, until
from operated_job import PROJECT, OperatedJob
from tmux import terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeJob = Callable[..., OperatedJob]


# A shell in the background, such as may have started the tests, has SIGINT and SIGQUIT ignored.
_SIGNALS_AS_USUAL = ("env", "--default-signal=HUP,INT,QUIT,TERM")


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


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_mistake(job: OperatedJob, closed: str) -> None:
    command = shlex.join(job.command("shell", job.number, "--", "sh", "-c", "cat; echo a; exit 3"))
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == ("a\n" if closed == "<&-" else "")


def test_a_signal_that_is_ignored_stays_so(job: OperatedJob) -> None:
    with subprocess.Popen(
        ["nohup", *job.command("shell", job.number, "--", "sh", "-c", "echo begun; cat")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGHUP)
        assert process.communicate(b"x", timeout=60)[0] == b"x"
        assert process.returncode == 0


def test_output_that_cant_be_written(job: OperatedJob) -> None:
    command = job.command("shell", job.number, "--", "sh", "-c", "echo $$ >full.pid; yes")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr == "fargate: standard output can't be written: No space left on device\n"
    _end(job, "full.pid")


def test_a_closed_terminal_takes_all_with_it(job: OperatedJob, tmp_path: Path) -> None:
    with terminal(tmp_path, job.command("shell", job.number)) as shown:
        shown.type("nohup sleep 1000 >/dev/null 2>&1 & echo $! $$ >>closed.pid")
        shown.type("sh -c 'echo $$ >>closed.pid; trap \"\" HUP TERM; echo begun; sleep 1000'")
        shown.wait_for("\nbegun")
    _end(job, "closed.pid")


def test_a_signal_takes_the_terminal_away(job: OperatedJob, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = "echo $$ >taken.pid; echo begun; exec sleep 1000"
    command = shlex.join(job.command("shell", job.number, "--", "sh", "-c", program))
    with terminal(tmp_path, ["sh", "-c", f"echo $$ >{pid}; exec {command}"]) as shown:
        shown.wait_for("begun")
        os.kill(int(pid.read_text()), signal.SIGTERM)
        assert shown.wait() == 143
        _end(job, "taken.pid")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_ends_the_command(job: OperatedJob, number: int) -> None:
    # Neither a cleared environment nor a fork at every moment saves anything.
    program = (
        "echo $$ >signal.pid; env -i nohup sleep 1000 & echo $! >>signal.pid; "
        "while :; do sleep 0.01; sleep 1000 & echo $! >>signal.pid; [ $asked ] || echo begun; "
        "asked=yes; done"
    )
    command = job.command("shell", job.number, "--", "sh", "-c", program)
    other, process = (
        subprocess.Popen(
            [*_SIGNALS_AS_USUAL, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for words in (job.command("shell", job.number, "--", "cat"), command)
    )
    try:
        for one, written in ((other, b"x\n"), (process, b"")):
            assert one.stdin
            assert one.stdout
            one.stdin.write(written)
            one.stdin.flush()
            assert one.stdout.readline() == (written or b"begun\n")
        for _ in range(3):
            process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
        _end(job, "signal.pid", after=0)
        assert other.communicate(b"y\n", timeout=60)[0] == b"y\n"
        assert other.returncode == 0
    finally:
        for one in (other, process):
            one.kill()
            one.communicate()


def test_terminals_that_are_closed_at_once_end_all_their_programs(job: OperatedJob) -> None:
    program = 'echo $$ >>"six.pid"; echo begun; exec sleep 1000'
    command = job.command("shell", job.number, "--", "sh", "-c", program)
    opened = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    for one in opened:
        assert one.stdout
        assert one.stdout.readline() == b"begun\n"
    for one in opened:
        one.terminate()
    for one in opened:
        one.communicate(timeout=60)
    assert [one.returncode for one in opened] == [143] * 6
    _end(job, "six.pid", after=0)


def test_what_a_command_left_when_it_ended_stays(job: OperatedJob) -> None:
    program = "sleep 1000 >/dev/null 2>&1 & echo $!; exit 255"
    done = job.fargate("shell", job.number, "--", "sh", "-c", program)
    assert done.returncode == 255
    assert job.fargate("shell", "--", "kill", done.stdout.strip()).returncode == 0


def test_a_program_whose_end_came_before_it_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "terminal-0a.cancelled").touch()
    command = terminal_command(
        ["touch", str(tmp_path / "begun")],
        wrapper_shell="/bin/sh",
        name="terminal-0a",
        folder="",
        init_pid=0,
        state_directory=str(tmp_path),
    )
    done = subprocess.run(["sh", "-c", command.decode()], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (143, b"")
    assert not (tmp_path / "begun").exists()


def _end(job: OperatedJob, file: str, after: float = 30) -> None:
    """See that the processes whose numbers are in a file of the job's folder end."""
    text = f"[ -s {file} ] || exit; for p in $(cat {file}); do ! kill -0 $p || exit 1; done"

    def ended() -> bool:
        return job.fargate("shell", job.number, "--", "sh", "-c", text).returncode == 0

    until(ended, seconds=after)
    job.fargate("shell", job.number, "--", "rm", file)


def test_the_job_keeps_its_verdict(make_job: MakeJob) -> None:
    this = make_job()
    assert this.fargate("shell", this.number, "--", "sh", "-c", "exit 9").returncode == 9
    assert this.finish_stage() == 1
    assert this.code_file.read_text().strip() == "3"
    this.end()
