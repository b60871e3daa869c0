from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.errors import (
    AuthenticationRefusedError,
    HostKeyChangedError,
    MasterGoneError,
    UnreachableError,
)
from fargate_driver.ssh.master import _masters, close_master, open_master, reopen_master
from fargate_driver.ssh.mux import Session
from ssh.pretended_task import USER, Stages, Task, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


def ignore(_reason: str) -> None:
    """What a test says that does not care about retries."""


def masters(task: Task) -> list[int]:
    return list(_masters(str(task.job)))


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port where a server greets as SSH does, and then says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        accepted = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection)
                connection.sendall(b"SSH-2.0-silent\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in accepted:
            connection.close()


def test_a_server_that_comes_up_late_is_waited_for(task: Task) -> None:
    said: list[str] = []
    timer = threading.Timer(0.5, task.start)
    timer.start()
    open_master(task.connection, time.monotonic() + 30, said.append)
    timer.join()
    assert len(masters(task)) == 1
    assert len(set(said)) == 1
    assert "connection refused" in said[0]


def test_a_key_that_is_authorized_late_is_waited_for(task: Task) -> None:
    (task.directory / "authorized_keys").write_text("")
    said: list[str] = []

    def heard(reason: str) -> None:
        said.append(reason)
        if "refuses the job's key" in reason:
            task.authorize()

    task.start()
    open_master(task.connection, time.monotonic() + 30, heard)
    assert "refuses the job's key" in said[-1]
    assert (task.job / "known_hosts").read_text().startswith("job ssh-ed25519 ")


def test_a_refused_key_is_said_with_what_to_check(task: Task) -> None:
    (task.directory / "authorized_keys").write_text("")
    task.start()
    wait_until(lambda: _listens(task.port))
    with pytest.raises(
        AuthenticationRefusedError, match=r"Permission denied.*authorized_keys.*ed25519"
    ):
        open_master(task.connection, time.monotonic() + 4, ignore)
    assert masters(task) == []


def test_a_closed_port_is_said_with_what_to_check(task: Task) -> None:
    with pytest.raises(UnreachableError, match=r"connection refused.*security group.*UsePublicIP"):
        open_master(task.connection, time.monotonic() + 0.2, ignore)


def test_a_server_that_goes_silent_is_given_up(task: Task, silent_server: int) -> None:
    connection = Connection(str(task.job), "127.0.0.1", silent_server, USER)
    with pytest.raises(UnreachableError, match="does not go on"):
        open_master(connection, time.monotonic() + 1, ignore)
    assert masters(task) == []


def test_an_exception_from_a_signal_handler_leaves_no_ssh(task: Task, silent_server: int) -> None:
    class StoppedError(Exception):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise StoppedError

    connection = Connection(str(task.job), "127.0.0.1", silent_server, USER)
    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_until(lambda: bool(masters(task)))
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(StoppedError):
            open_master(connection, time.monotonic() + 30, ignore)
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert masters(task) == []


def test_cleanup_finds_an_ssh_that_a_killed_prepare_left_half_way(
    task: Task, silent_server: int
) -> None:
    program = (
        "import sys, time\n"
        "from fargate_driver.ssh.connection import Connection\n"
        "from fargate_driver.ssh.master import open_master\n"
        "connection = Connection(sys.argv[1], '127.0.0.1', int(sys.argv[2]), sys.argv[3])\n"
        "open_master(connection, time.monotonic() + 60, print)\n"
    )
    prepare = subprocess.Popen([sys.executable, "-c", program, task.job, str(silent_server), USER])
    wait_until(lambda: bool(masters(task)))
    prepare.kill()
    prepare.wait()
    assert len(masters(task)) == 1
    close_master(str(task.job))
    assert masters(task) == []


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_changed_host_key_is_refused_at_once(task: Task, kind: str) -> None:
    task.start()
    open_master(task.connection, time.monotonic() + 30, ignore)
    task.stop()
    task.make_host_key(kind)
    task.start()
    wait_until(lambda: _listens(task.port))
    with pytest.raises(HostKeyChangedError, match="nothing was sent"):
        reopen_master(task.connection, 60, ignore)
    with pytest.raises(HostKeyChangedError):
        open_master(task.connection, time.monotonic() + 60, ignore)
    assert masters(task) == []


def test_a_host_key_that_changes_between_the_tries_of_prepare_is_refused(task: Task) -> None:
    (task.directory / "authorized_keys").write_text("")
    task.start()

    def heard(reason: str) -> None:
        if "refuses the job's key" in reason:
            task.stop()
            task.authorize()
            task.make_host_key("ecdsa")
            task.start()

    with pytest.raises(HostKeyChangedError):
        open_master(task.connection, time.monotonic() + 30, heard)


def test_the_master_outlives_sigquit_and_sighup(stages: Stages) -> None:
    (pid,) = masters(stages.task)
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGINT):
        os.kill(pid, number)
    assert stages.run("echo still there").stdout == b"still there\n"
    assert masters(stages.task) == [pid]
    assert os.getsid(pid) != os.getsid(0)


def test_ssh_sees_none_of_the_jobs_variables(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOM_ENV_CI_JOB_TOKEN", "secret")
    task.start()
    open_master(task.connection, time.monotonic() + 30, ignore)
    (pid,) = masters(task)
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0] for entry in environment if entry}
    # bash and dash as /bin/sh add the last ones for themselves.
    assert names <= {b"PATH", b"HOME", b"LANG", b"PWD", b"SHLVL", b"_", b"OLDPWD"}


def test_closing_may_be_repeated_and_leaves_no_socket(stages: Stages) -> None:
    for _ in range(2):
        close_master(str(stages.task.job))
        assert masters(stages.task) == []
        assert not (stages.task.job / "mux").exists()
    close_master(str(stages.task.directory / "never-made"))


def test_a_killed_master_is_noticed_and_replaced(stages: Stages) -> None:
    (pid,) = masters(stages.task)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not masters(stages.task))
    assert (stages.task.job / "mux").is_socket()
    with pytest.raises(MasterGoneError):
        stages.run("echo never")
    reopen_master(stages.task.connection, 30, ignore)
    assert stages.run("echo again").stdout == b"again\n"


def test_only_a_pinned_host_is_connected_again(task: Task) -> None:
    task.start()
    with pytest.raises(UnreachableError, match="no pinned host key"):
        reopen_master(task.connection, 30, ignore)


def test_a_directory_with_a_long_path_works(tmp_path: Path) -> None:
    place = tmp_path / ("a" * 200) / ("b" * 200)
    place.mkdir(parents=True)
    task = Task(place)
    try:
        task.start()
        assert Stages(task, task.open()).run("echo far").stdout == b"far\n"
    finally:
        task.stop()


def test_no_master_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MasterGoneError):
        Session(str(tmp_path), b"true", (0, 1, 2))


def test_an_ssh_of_others_in_the_directory_is_left_alone(task: Task) -> None:
    other = subprocess.Popen(["sleep", "60"], cwd=task.job)
    try:
        close_master(str(task.job))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
