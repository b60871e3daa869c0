from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.errors import NotEndedError
from fargate_driver.ssh.mux import Session
from fargate_driver.ssh.remote import stage_command
from fargate_driver.ssh.session import end_stage, run_script
from fargate_driver.ssh.stage import Stage
from ssh.container_shells import KINDS, make_task
from ssh.pretended_task import Run, Stages, Task, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=KINDS)
def shells(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stages]:
    """Opened tasks with different shells."""
    task = make_task(tmp_path, request.param, contained=True)
    task.start()
    yield Stages(task, task.open())
    task.stop()


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    """A task that has not been started yet."""
    made = Task(tmp_path, contained=True)
    yield made
    made.stop()


def cancel_when_ready(stages: Stages, script: str, *, init_pid: int | None = None) -> Run:
    """Run a script, and cancel it once it has made the file `ready` in its working directory."""
    ready = stages.task.directory / "ready"
    ready.unlink(missing_ok=True)
    told = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def cancel() -> None:
        wait_until(ready.exists)
        told.set()
        os.write(writing, b"\x0f")

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        return stages.run(
            f"cd {stages.task.directory}\n{script}",
            cancelled=told.is_set,
            wakeup_fd=reading,
            init_pid=init_pid,
        )
    finally:
        thread.join()
        os.close(reading)
        os.close(writing)


def pids(stages: Stages, name: str) -> list[int]:
    return [int(line) for line in (stages.task.directory / name).read_text().split()]


def end(stages: Stages, stage: str, *, init_pid: int | None = None, shell: str = "") -> bool:
    found, connection = stages.found, stages.task.connection
    if shell:
        connection = Connection(
            connection.directory, connection.host, connection.port, connection.user, shell
        )
    return end_stage(
        connection,
        stage,
        init_pid=found.init_pid if init_pid is None else init_pid,
        state_directory=found.state_directory,
    )


def test_a_cancelled_script_is_ended_and_reports_it(shells: Stages) -> None:
    run = cancel_when_ready(shells, "echo before; touch ready; sleep 300; echo after")
    assert run.outcome.cancelled
    assert run.outcome.code not in {0, None}
    assert run.stdout == b"before\n"


def test_a_handler_of_term_has_its_say(shells: Stages) -> None:
    run = cancel_when_ready(
        shells, "trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.1; done"
    )
    assert run.stdout == b"bye\n"
    assert run.outcome.cancelled


# Each leaves its pid in the file `pids`.
ESCAPES = {
    "setsid": "setsid sh -c 'echo $$ >>pids; exec sleep 300' &",
    "orphan": "(sh -c 'echo $$ >>pids; exec sleep 300' & ) &",
    "env -i": 'env -i PATH="$PATH" sh -c "echo \\$\\$ >>pids; exec sleep 300" &',
    "orphan env -i": '(env -i PATH="$PATH" sh -c "echo \\$\\$ >>pids; exec sleep 300" &) &',
    "orphan setsid env -i": (
        '(env -i PATH="$PATH" setsid sh -c "echo \\$\\$ >>pids; exec sleep 300" &) &'
    ),
    "nested": "sh -c 'sh -c \"echo \\$\\$ >>pids; exec sleep 300\" & wait' &",
    "stopped": "sh -c 'echo $$ >>pids; kill -STOP $$; sleep 300' &",
}


@pytest.mark.timeout(120)
def test_what_got_away_is_ended_and_all_else_lives(shells: Stages) -> None:
    shells.run(f"cd {shells.task.directory}\nsleep 301 & echo $! >service\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    command = f"echo $$ >{shells.task.directory}/other; sleep 302".encode()
    other = Session(str(shells.task.job), b"exec /bin/sh -c '" + command + b"'", (nothing,) * 3)
    os.close(nothing)
    script = "\n".join(ESCAPES.values())
    decoy = "sh -c ': fargate-stage '$FARGATE_STAGE_ID'; sleep 300; :' & sleep 0.1"
    run = cancel_when_ready(
        shells,
        f"{script}\nwhile [ $(wc -l <pids) -lt {len(ESCAPES)} ]; do sleep 0.1; done\n"
        f"{decoy}\ntouch ready\nsleep 303",
    )
    assert run.outcome.cancelled
    assert run.outcome.code not in {0, None}
    got_away = dict(zip(ESCAPES, pids(shells, "pids"), strict=True))
    assert [pid for pid in got_away.values() if shells.task.alive(pid)] == []
    assert shells.task.alive(pids(shells, "service")[0])
    assert shells.task.alive(pids(shells, "other")[0])
    assert shells.task.alive(shells.found.init_pid)
    assert shells.run("echo after_script").stdout == b"after_script\n"
    other.close()


def test_what_ignores_term_is_killed_while_output_streams(shells: Stages) -> None:
    run = cancel_when_ready(
        shells,
        "setsid sh -c 'trap \"\" TERM; echo $$ >pids; while :; do echo on; sleep 0.2; done' &\n"
        "trap '' TERM; touch ready; while :; do sleep 0.2; done",
    )
    assert run.outcome.cancelled
    assert run.outcome.code == 128 + 9
    assert not shells.task.alive(pids(shells, "pids")[0])
    # TERM at once, KILL after 10 s.
    assert 30 <= run.stdout.count(b"on\n") <= 80


def test_with_an_unknown_first_process_its_children_are_left_alone(stages: Stages) -> None:
    run = cancel_when_ready(
        stages,
        "sh -c 'echo $$ >>pids; exec sleep 300' &\n"
        '(env -i PATH="$PATH" setsid sh -c "echo \\$\\$ >lost; exec sleep 300" &) &\n'
        "while ! [ -s pids ] || ! [ -s lost ]; do sleep 0.1; done; touch ready; sleep 300",
        init_pid=0,
    )
    assert run.outcome.cancelled
    assert not stages.task.alive(pids(stages, "pids")[0])
    assert stages.task.alive(pids(stages, "lost")[0])


@pytest.mark.parametrize("known", [True, False])
def test_a_stage_that_is_nowhere_takes_nothing_with_it(shells: Stages, known: bool) -> None:
    script = "sleep 300 & echo $! >pids; sh -c '(setsid sleep 300 & echo $! >>pids)'"
    shells.run(f"cd {shells.task.directory}\n{script}")
    init = shells.found.init_pid
    before = pids(shells, "pids")
    assert not end(shells, "0123456789abcdef", init_pid=init if known else 0)
    assert all(shells.task.alive(pid) for pid in [init, *before])
    assert shells.run("echo next").stdout == b"next\n"


def test_a_stage_that_is_ended_before_it_begins_never_does(shells: Stages) -> None:
    found = shells.found
    connection = shells.task.connection
    path = shells.task.directory / "script"
    path.write_text("echo never")
    with path.open("rb", 0) as script, (shells.task.directory / "out").open("w+b") as out:
        stage = Stage(connection, found.init_pid, found.state_directory, (out.fileno(),) * 2)
        end_stage(
            connection,
            stage.name,
            init_pid=found.init_pid,
            state_directory=found.state_directory,
        )
        command = stage_command(
            wrapper_shell=connection.wrapper_shell,
            stage=stage.name,
            size=path.stat().st_size,
            shell=found.shell,
            init_pid=found.init_pid,
            state_directory=found.state_directory,
        )
        reading, writing = os.pipe()
        stage.start(command, script.fileno(), path.stat().st_size)
        stage.pump(lambda: False, reading)
        stage.close()
        for descriptor in (reading, writing):
            os.close(descriptor)
        assert (stage.code, out.seek(0), out.read()) == (128 + signal.SIGTERM, 0, b"")


def test_a_server_that_is_stopped_is_waited_for_as_long_as_told(stages: Stages) -> None:
    for pid in below(stages.task.init_pid):
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(NotEndedError, match="the SSH server did not answer within 1 s"):
        end_stage(
            stages.task.connection,
            "0123456789abcdef",
            init_pid=stages.found.init_pid,
            state_directory=stages.found.state_directory,
            answer=1.0,
        )


def below(pid: int) -> list[int]:
    """The processes that descend from one, as this machine numbers them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, children) for one in (child, *below(child))]


def test_what_a_killed_wrapper_left_is_ended_and_nothing_else(shells: Stages) -> None:
    place = shells.task.directory
    shells.run(f"cd {place}\nsleep 301 & echo $! >service\n")
    script = "exec >/dev/null 2>&1; sleep 300 & echo $! $$ >pids; kill -9 $PPID; sleep 300"
    run = shells.run(f"cd {place}\n{script}")
    assert run.outcome.stage
    assert all(shells.task.alive(pid) for pid in pids(shells, "pids"))
    assert end(shells, run.outcome.stage)
    assert not any(shells.task.alive(pid) for pid in pids(shells, "pids"))
    assert shells.task.alive(pids(shells, "service")[0])
    assert shells.run("echo next").stdout == b"next\n"


@pytest.mark.parametrize(
    ("shell", "why"),
    [("false", r"not all .* \(exit status 1\)"), ("sh -c 'kill -9 $PPID'", "connection was lost")],
)
def test_what_was_not_ended_is_told(stages: Stages, shell: str, why: str) -> None:
    with pytest.raises(NotEndedError, match=why):
        end(stages, "0123456789abcdef", shell=shell)


def test_cancelled_before_the_start_nothing_runs(stages: Stages) -> None:
    run = stages.run("echo never", cancelled=lambda: True)
    assert (run.outcome.code, run.outcome.cancelled, run.stdout) == (None, True, b"")
    assert run.outcome.lost


def test_a_reader_that_is_gone_ends_the_stage_like_a_cancel(stages: Stages) -> None:
    path = stages.task.directory / "endless"
    path.write_text(f"echo $$ >{stages.task.directory}/pids; while :; do echo x; sleep 0.1; done")
    reading, writing = os.pipe()
    os.close(reading)
    wake_reading, wake_writing = os.pipe()
    try:
        outcome = run_script(
            stages.task.connection,
            str(path),
            shell=stages.found.shell,
            init_pid=stages.found.init_pid,
            state_directory=stages.found.state_directory,
            cancelled=lambda: False,
            wakeup_fd=wake_reading,
            stdout=writing,
        )
    finally:
        for descriptor in (writing, wake_reading, wake_writing):
            os.close(descriptor)
    assert outcome.cancelled
    assert not stages.task.alive(pids(stages, "pids")[0])
