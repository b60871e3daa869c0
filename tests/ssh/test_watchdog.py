from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh import watchdog
from ssh.container_shells import KINDS, make_task
from ssh.pretended_task import Stages, Task, wait_until
from ssh.test_cancel import cancel_when_ready
from ssh.test_session import alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from ssh.pretended_task import Run


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


def start(stages: Stages, seconds: int, *, init_pid: int | None = None) -> bool:
    found = stages.found if init_pid is None else stages.found._replace(init_pid=init_pid)
    return watchdog.start(stages.task.connection, found, seconds, time.monotonic() + 30)


def watchdogs(stages: Stages) -> list[int]:
    """The watchdogs of this task, known by its state directory."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            parent = (process / "stat").read_text().rpartition(") ")[2].split()[1]
        except OSError:
            continue
        if b"fargate-watchdog" in words and stages.found.state_directory.encode() in words:
            found[int(process.name)] = int(parent)
    # Not what it has forked and what is not `sleep` yet.
    return [pid for pid, parent in found.items() if parent not in found]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def begin(stages: Stages, script: str) -> Future[Run]:
    """Run a script beside the test; it has begun. So no watchdog strikes before, however slow."""
    begun = stages.task.directory / "begun"
    pool = ThreadPoolExecutor(1)
    run = pool.submit(stages.run, f"touch {begun}\n{script}")
    pool.shutdown(wait=False)
    wait_until(lambda: begun.exists() or run.done())
    return run


def test_a_task_ends_itself_and_says_so(shells: Stages) -> None:
    assert alive(shells.task.init_pid)
    running = begin(shells, "exec sleep 600")
    assert start(shells, 1)
    run = running.result()
    assert run.outcome.code is None
    assert b"fargate: MaxLifetime of 1 s is over: the task ends itself\n" in run.stderr
    wait_until(lambda: not alive(shells.task.init_pid))


def test_a_cancelled_stage_and_ended_sleeps_do_not_touch_it(shells: Stages) -> None:
    assert start(shells, 3600)
    wait_until(lambda: len(watchdogs(shells)) == 1)
    (watcher,) = watchdogs(shells)
    wait_until(lambda: bool(children(watcher)))
    (sleep,) = children(watcher)
    os.kill(sleep, signal.SIGKILL)
    wait_until(lambda: children(watcher) not in ([], [sleep]))
    run = cancel_when_ready(shells, "touch ready; sleep 300")
    assert run.outcome.cancelled
    assert watchdogs(shells) == [watcher]
    assert alive(shells.task.init_pid)


def test_without_a_known_first_process_its_sshd_ends(stages: Stages) -> None:
    running = begin(stages, "sleep 600")
    assert start(stages, 1, init_pid=0)
    assert running.result().outcome.code is None
    wait_until(lambda: children(stages.task.init_pid) == [])
    assert alive(stages.task.init_pid)


@pytest.mark.skipif(os.getuid() != 0, reason="makes a PID namespace")
def test_sshd_as_the_first_process_ends(tmp_path: Path) -> None:
    task = Task(tmp_path, sshd_first=True)
    task.start()
    try:
        stages = Stages(task, task.open())
        assert alive(task.init_pid)
        assert start(stages, 1)
        wait_until(lambda: not alive(task.init_pid))
    finally:
        task.stop()


def test_a_first_process_that_ignores_sigterm_is_left_without_anything(stages: Stages) -> None:
    deaf = begin(stages, "trap '' TERM; exec sleep 600")
    init = stages.task.init_pid
    try:
        # Stopped, it does not even learn of SIGTERM, nor does it reap.
        os.kill(init, signal.SIGSTOP)
        assert start(stages, 1)
        wait_until(lambda: not any(alive(child) for child in children(init)), 60)
        deaf.result()
    finally:
        os.kill(init, signal.SIGCONT)
