"""A connection that is lost while a script runs: output and verdict are whole all the same."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.errors import DriverError
from fargate_driver.ssh import session, stage
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.master import _masters, reopen_master
from ssh.container_shells import KINDS, SHELLS_GO_BY, make_task
from ssh.pretended_task import USER, Run, Stages, Task, wait_until
from ssh.test_session import alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=KINDS)
def shells(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stages]:
    """Opened tasks with different shells."""
    task = make_task(tmp_path, request.param)
    task.start()
    yield Stages(task, task.open())
    task.stop()


def kill_master(stages: Stages) -> None:
    for pid in _masters(str(stages.task.job)):
        os.kill(pid, signal.SIGKILL)


class Reconnect:
    """Connects again, after something was done meanwhile.

    `reasons` are what it was told, `done` is how often it succeeded.
    """

    def __init__(
        self,
        stages: Stages,
        meanwhile: Callable[[], None] = lambda: None,
        *,
        seconds: float = 30,
    ) -> None:
        self._stages = stages
        self._seconds = seconds
        self._meanwhile = meanwhile
        self.reasons: list[str] = []
        self.done = 0

    def __call__(self, why: str) -> bool:
        self.reasons.append(why)
        self._meanwhile()
        try:
            reopen_master(self._stages.task.connection, self._seconds, lambda _reason: None)
        except DriverError:
            return False
        self.done += 1
        return True


def lose(
    stages: Stages,
    script: str,
    meanwhile: Callable[[], None] = lambda: None,
    times: int = 1,
    **arguments: Any,
) -> tuple[Run, Reconnect]:
    """Run a script, and kill the master each time that the script makes the file `lose`."""
    place = stages.task.directory
    signs = place / "lose"
    over = threading.Event()

    def watch() -> None:
        for before in range(times):
            wait_until(
                lambda: (signs.exists() and reconnect.done == before) or over.is_set()  # noqa: B023
            )
            kill_master(stages)
            signs.unlink(missing_ok=True)  # the script may go on by it

    reconnect = Reconnect(stages, meanwhile)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        run = stages.run(f"cd {place}\n{script}", reconnect=reconnect, **arguments)
        return run, reconnect
    finally:
        over.set()
        thread.join()


def numbered(count: int, at: int, every: str = "") -> str:
    """A script that prints numbered lines on both streams, and loses the connection at one."""
    return (
        f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo out $i; echo err $i >&2\n"
        f"[ $i -ne {at} ] || touch lose; {every}\ndone\n"
    )


def lines(name: str, count: int) -> bytes:
    return b"".join(b"%s %d\n" % (name.encode(), number) for number in range(1, count + 1))


def left(stages: Stages) -> list[str]:
    return [path.name for path in Path(stages.found.state_directory).iterdir()]


@pytest.mark.parametrize("end", [0, 7, 137])
def test_every_line_arrives_once_and_in_order(shells: Stages, end: int) -> None:
    finish = "kill -9 $$" if end == 137 else f"exit {end}"
    run, reconnect = lose(shells, numbered(300, 100, "sleep 0.01") + finish)
    assert len(reconnect.reasons) == 1
    assert "connection was lost" in reconnect.reasons[0]
    assert (run.outcome.code, run.outcome.lost) == (end, "")
    assert run.stdout == lines("out", 300)
    assert run.stderr == lines("err", 300)
    wait_until(lambda: left(shells) == ["environment"])


def test_what_shells_go_by_does_not_end_the_output(tmp_path: Path) -> None:
    task = make_task(tmp_path, "bash+bash", login=SHELLS_GO_BY)
    task.start()
    try:
        lost = "touch lose; while [ -e lose ]; do sleep 0.1; done"
        run, _ = lose(Stages(task, task.open()), f"{lost}; sleep 2.5; echo end; exit 3")
        assert (run.outcome.code, run.outcome.lost) == (3, "")
        assert run.stdout.endswith(b"end\n")
    finally:
        task.stop()


def test_large_output_is_whole(stages: Stages) -> None:
    data = stages.task.directory / "data"
    data.write_bytes(os.urandom(20_000_000))
    script = "head -c 5000000 data; touch lose; tail -c +5000001 data; exit 3"
    run, reconnect = lose(stages, script)
    assert len(reconnect.reasons) == 1
    assert run.outcome.code == 3
    assert run.stdout == data.read_bytes()


def test_a_connection_that_is_lost_again_and_again(stages: Stages) -> None:
    lost = "touch lose; while [ -e lose ]; do sleep 0.1; done"
    script = f"for n in 1 2 3; do {lost}; echo $n; done; exit 5"
    run, reconnect = lose(stages, script, times=3)
    assert len(reconnect.reasons) == 3
    assert (run.outcome.code, run.stdout) == (5, b"1\n2\n3\n")


def test_connections_that_all_break_at_once_are_given_up(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_FIRST_PAUSE", 0.01)
    told: list[str] = []

    def stands_and_dies(why: str) -> bool:
        told.append(why)
        assert len(told) < 20
        return True

    sign = stages.task.directory / "begun"

    def lose_it() -> None:
        wait_until(sign.exists)
        kill_master(stages)

    killed = threading.Thread(target=lose_it)
    killed.start()
    run = stages.run(f"touch {sign}; sleep 60", reconnect=stands_and_dies)
    killed.join()
    assert len(told) == 6
    assert run.outcome.lost.endswith("; 6 new connections in a row were lost at once")
    assert (run.outcome.code, run.outcome.connected, bool(run.outcome.stage)) == (None, False, True)


def test_a_script_that_ends_while_disconnected(shells: Stages) -> None:
    over = shells.task.directory / "over"
    script = "echo before; touch lose; sleep 1; echo after; echo err >&2; touch over; exit 7"
    run, _ = lose(shells, script, lambda: wait_until(over.exists))
    assert (run.outcome.code, run.stdout, run.stderr) == (7, b"before\nafter\n", b"err\n")
    wait_until(lambda: left(shells) == ["environment"])


def test_background_processes_of_a_resumed_stage_live_on(stages: Stages) -> None:
    script = (
        "(while :; do echo noise; echo x >>noise; sleep 0.01; done) &\n"
        "echo $! >noisy; touch lose; sleep 1; exit 4"
    )
    run, _ = lose(stages, script)
    assert run.outcome.code == 4
    noise = stages.task.directory / "noise"
    before = noise.stat().st_size
    wait_until(lambda: noise.stat().st_size > before + 40)
    assert alive(int((stages.task.directory / "noisy").read_text()))


def test_a_wrapper_that_is_killed_while_disconnected_is_no_verdict(shells: Stages) -> None:
    wrapper = shells.task.directory / "wrapper"

    def kill() -> None:
        os.kill(int(wrapper.read_text()), signal.SIGKILL)

    script = "echo $PPID >wrapper; echo before; touch lose; sleep 600; exit 0"
    run, _ = lose(shells, script, kill)
    assert run.outcome.code is None
    assert "it was killed in the container" in run.outcome.lost
    assert run.outcome.connected
    assert run.outcome.stage
    assert run.stdout == b"before\n"


def test_a_process_that_looks_like_the_wrapper_is_not_taken_for_it(tmp_path: Path) -> None:
    # It is before the wrapper in the list of processes, and ends before the script.
    script = (
        "decoy() { sh -c ': fargate-stage '$FARGATE_STAGE_ID'\nsleep 4; :' & }\n"
        "decoy; until [[ $! < $PPID ]]; do kill $!; decoy; done\n"
        "touch lose; wait $!; sleep 3; echo after; exit 5"
    )
    task = Task(tmp_path, contained=True)
    task.start()
    try:
        run, _ = lose(Stages(task, task.open()), script, shell="bash")
    finally:
        task.stop()
    assert (run.outcome.code, run.stdout) == (5, b"after\n"), run.outcome.lost


def test_a_task_that_ends_while_disconnected_is_no_verdict(stages: Stages) -> None:
    def end() -> None:
        os.kill(stages.task.init_pid, signal.SIGTERM)
        wait_until(lambda: not alive(stages.task.init_pid))

    reconnect = Reconnect(stages, end, seconds=1)
    script = f"echo before; sleep 2; kill -9 {_masters_of(stages)}; sleep 600"
    run = stages.run(script, reconnect=reconnect)
    assert run.outcome.code is None
    assert "connection was lost" in run.outcome.lost
    assert not run.outcome.connected
    assert run.stdout == b"before\n"


def test_a_state_directory_that_is_emptied_meanwhile_is_said(stages: Stages) -> None:
    run, _ = lose(stages, f"rm -rf {stages.found.state_directory}; touch lose; sleep 600")
    assert run.outcome.code is None
    assert "no log of it" in run.outcome.lost
    assert run.outcome.stage


def test_a_log_that_was_cut_is_said(stages: Stages) -> None:
    size = 64 * 1024 * 1024
    script = f"head -c {size + 100_000} /dev/zero | tr '\\0' x; touch lose; sleep 30"
    run, _ = lose(stages, script)
    assert run.outcome.code is None
    assert "more than 64 MiB" in run.outcome.lost


def test_output_beyond_the_logs_limit_is_whole(stages: Stages) -> None:
    size = 70 * 1024 * 1024
    run = stages.run(f"head -c {size} /dev/zero | tr '\\0' x; exit 6")
    assert run.outcome.code == 6
    assert len(run.stdout) == size
    assert run.stdout.count(b"x") == size


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_while_disconnected_ends_the_script(tmp_path: Path, kind: str) -> None:
    task = make_task(tmp_path, kind, contained=True)
    task.start()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    cancelled = threading.Event()

    def cancel() -> None:
        cancelled.set()
        os.write(writing, b"\x0f")

    script = (
        "trap 'echo bye; exit 9' TERM; echo $$ >pid; echo before\n"
        "touch lose; while :; do sleep 0.1; done"
    )
    try:
        stages = Stages(task, task.open())
        run, _ = lose(stages, script, cancel, cancelled=cancelled.is_set, wakeup_fd=reading)
        assert run.outcome.cancelled
        assert (run.outcome.code, run.stdout) == (9, b"before\nbye\n")
        assert not task.alive(int((task.directory / "pid").read_text()))
    finally:
        os.close(reading)
        os.close(writing)
        task.stop()


def _masters_of(stages: Stages) -> str:
    return " ".join(str(pid) for pid in _masters(str(stages.task.job)))


class Network:
    """A way to a port that can fall silent, without anything being reset."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}
        self.silent = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.port = int(self._listener.getsockname()[1])

    def _serve(self) -> None:
        while not self._over.wait(0.02 if self.silent.is_set() else 0):
            if self.silent.is_set():
                continue
            for key, _ in self._selector.select(0.05):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is self._listener:
                    near, _ = ready.accept()
                    try:
                        far = socket.create_connection(("127.0.0.1", self._port))
                    except ConnectionRefusedError:  # the server isn't up yet
                        near.close()
                        continue
                    for one, other in ((near, far), (far, near)):
                        self._peers[one] = other
                        self._selector.register(one, selectors.EVENT_READ)
                    continue
                try:
                    data = ready.recv(65536)
                    self._peers[ready].sendall(data)
                except OSError:
                    data = b""
                if not data:
                    # The far side learns nothing of it, as behind a firewall that drops.
                    self._selector.unregister(ready)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for one in (*self._peers, self._listener):
            one.close()
        self._selector.close()


def test_a_network_that_falls_silent_for_a_while(task: Task) -> None:
    network = Network(task.port)
    try:
        task.start()
        task.connection = Connection(str(task.job), "127.0.0.1", network.port, USER)
        stages = Stages(task, task.open())
        signs = task.directory / "lose"
        more = task.directory / "more"

        def fall_silent() -> None:
            wait_until(signs.exists)
            network.silent.set()
            # More is printed than connection and pipes hold: the script stands still.
            wait_until(more.exists)
            kill_master(stages)

        thread = threading.Thread(target=fall_silent)
        thread.start()
        script = (
            f"cd {task.directory}\n{numbered(50, 50)}sleep 1; touch more\n"
            "i=0; l=$(printf '%09999d' 7); while [ $i -lt 1500 ]; do echo $l; i=$((i+1)); done\n"
            "exit 11"
        )
        run = stages.run(script, reconnect=Reconnect(stages, network.silent.clear))
        thread.join()
    finally:
        network.close()
    assert run.outcome.code == 11
    assert run.stdout == lines("out", 50) + (b"0" * 9998 + b"7\n") * 1500
    assert run.stderr == lines("err", 50)


def test_a_cancel_over_a_silent_network_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "KILL_LIMIT", 1.0)
    task = Task(tmp_path, contained=True)
    network = Network(task.port)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        task.start()
        task.connection = Connection(str(task.job), "127.0.0.1", network.port, USER)
        stages = Stages(task, task.open())
        ready = task.directory / "ready"

        def cancel() -> None:
            wait_until(ready.exists)
            network.silent.set()
            os.write(writing, b"\x0f")

        thread = threading.Thread(target=cancel)
        thread.start()
        run = stages.run(
            f"touch {ready}; sleep 300", cancelled=network.silent.is_set, wakeup_fd=reading
        )
        thread.join()
    finally:
        network.close()
        os.close(reading)
        os.close(writing)
        task.stop()
    assert run.outcome.lost == (
        "cancelled; the container did not answer within 1 s, the script may still run"
    )
    assert (run.outcome.code, run.outcome.connected, bool(run.outcome.stage)) == (None, False, True)


def test_twenty_stages_in_a_row_leave_nothing(stages: Stages) -> None:
    for number in range(20):
        assert stages.run(f"echo {number}; exit {number}").outcome.code == number
    wait_until(lambda: left(stages) == ["environment"])
