"""The first process: its settings, what it reaps, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh.errors import UnreachableError
from fargate_driver.ssh.master import close_master
from free_port import free_port
from helper.tools_container import Container, tools
from ssh.pretended_task import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43

ALIASES = ["db", "tutum__wordpress", *(f"{'x' * 200}.{number}" for number in range(5))]
"""More than 511 bytes, which is what musl reads of a line."""


def _init(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tools() / "init", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "is not set"),
        ("", "is not set"),
        (f"{KEY} a\n{KEY} b", "has more than one line"),
        (f"{KEY} a\n", "has more than one line"),
        (f"no-pty {KEY}", "does not begin with"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB", "does not begin with"),
        (KEY[:-1], "holds no whole ed25519 key"),
        (KEY + "B", "holds no whole ed25519 key"),
        (KEY[:-1] + "\t", "holds no whole ed25519 key"),
    ],
)
def test_without_exactly_one_key_nothing_is_served(key: str | None, reason: str) -> None:
    done = _init("--port", "1", **({} if key is None else {"SSH_PUBLIC_KEY": key}))
    assert done.returncode == 64
    assert f"SSH_PUBLIC_KEY {reason}" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ((), {}, "--port has to be"),
        (("--port", "65536"), {}, "--port has to be"),
        (("--port", "22x"), {}, "--port has to be"),
        (("--port", "22", "--help"), {}, "unexpected argument --help"),
        (("--port", "22", "--hosts", "a b"), {}, "can't be part of a host name"),
        (("--port", "22", "--hosts", "a," * 3000), {}, "--hosts: more than"),
        (("--port", "22", "--umask", "8"), {}, "--umask has to be octal"),
        (("--port", "22", "--umask", "1000"), {}, "--umask has to be octal"),
        (("--port", "22"), {"FARGATE_MAX_LIFETIME": "1h"}, "FARGATE_MAX_LIFETIME=1h is no number"),
        (("--port", "22"), {"FARGATE_MAX_LIFETIME": "-5"}, "FARGATE_MAX_LIFETIME=-5 is no number"),
        (("--port", "22"), {"FARGATE_LISTEN_ADDRESS": "a" * 300}, "FARGATE_LISTEN_ADDRESS"),
    ],
)
def test_a_setting_that_can_not_be_used_is_named(
    arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    done = _init(*arguments, SSH_PUBLIC_KEY=KEY, **environment)
    assert done.returncode == 64
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_server_that_can_not_listen_ends_the_container() -> None:
    done = _init("--port", "22", SSH_PUBLIC_KEY=KEY, FARGATE_LISTEN_ADDRESS="192.0.2.1")
    assert done.returncode == 70
    assert "Failed listening" in done.stdout
    assert "the SSH server ended (exit status 1)" in done.stderr


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """Not started yet; its root holds nothing but busybox."""
    made = Container(tmp_path, "busybox", arguments=("--hosts", ",".join(ALIASES)))
    yield made
    made.stop()


@pytest.mark.root
def test_orphans_are_reaped(container: Container) -> None:
    container.start()
    container.open()
    container.ssh("for n in 1 2 3; do (sleep 0.1 &); done; (sleep 300 &)")
    states = "for f in /proc/[0-9]*/stat; do cat $f; done 2>/dev/null; true"

    def done() -> bool:
        shown = container.ssh(states).stdout.decode().splitlines()
        assert any("(sleep) S 1 " in line for line in shown)
        return not any(") Z " in line for line in shown) and len(shown) < 8

    wait_until(done)


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGWINCH, signal.SIGRTMIN + 3])
def test_told_to_end_it_does_so_at_once_without_a_session(
    container: Container, number: signal.Signals | int
) -> None:
    """The image's STOPSIGNAL says by which signal."""
    container.start()
    container.open()
    container.ssh("(sleep 300 &)")
    # What it waits for is not kept from others.
    container.ssh("test 0000000000000000 = $(sed -n 's/SigBlk:\t//p' /proc/self/status)")
    # A job's own `kill -HUP 1` or `pkill -QUIT …` is no order to end.
    container.ssh("for name in HUP INT QUIT USR1 USR2 WINCH PWR 37; do kill -$name 1; done")
    assert container.ssh("cat /proc/1/comm").stdout == b"init\n"
    assert "told to end" not in container.said
    os.kill(container.host_pid, number)
    assert container.wait() == 143
    assert "told to end" in container.said


@pytest.mark.root
def test_a_job_may_end_its_container_by_sigterm(container: Container) -> None:
    container.start()
    container.open()
    container.ssh("kill 1", check=False)
    assert container.wait() == 143


@pytest.mark.root
def test_told_to_end_while_it_begins_it_does_so(container: Container) -> None:
    hosts = container.root / "etc" / "hosts"
    os.mkfifo(hosts)
    container.start()

    writers: list[int] = []

    def reads_hosts() -> bool:
        # Without a reader it can't be opened for writing.
        with contextlib.suppress(OSError):
            writers.append(os.open(hosts, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writers)

    wait_until(reads_hosts)
    os.kill(container.host_pid, signal.SIGTERM)
    os.write(writers[0], b"127.0.0.1 localhost\n")
    os.close(writers[0])
    assert container.wait() == 143


@pytest.mark.root
def test_told_to_end_it_lets_the_running_session_go_on(container: Container) -> None:
    container.start()
    container.open()
    running = subprocess.Popen(
        ["ssh", "-F", "none", "-S", "mux", "x@127.0.0.1", "echo begun; read line; echo $line"],
        cwd=container.job,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert running.stdout
    assert running.stdout.readline() == b"begun\n"
    assert container.ssh("cat /proc/1/comm").stdout == b"init\n"
    os.kill(container.host_pid, signal.SIGTERM)
    # The mark by which the driver knows not to start another stage.
    wait_until(lambda: container.ssh("cat /proc/1/comm").stdout == b"ending\n")
    os.kill(container.host_pid, signal.SIGTERM)
    connected = (container.job / "mux").rename(container.job / "first")
    with pytest.raises(UnreachableError, match="refused"):
        container.open(0.1)
    connected.rename(container.job / "mux")
    assert running.communicate(b"finished\n", timeout=60)[0] == b"finished\n"
    assert running.returncode == 0
    assert container.wait() == 143


@pytest.mark.root
def test_the_lifetime_ends_everything(container: Container) -> None:
    container.environment["FARGATE_MAX_LIFETIME"] = "2"
    began = time.monotonic()
    container.start()
    container.open()
    container.ssh("trap '' TERM; sleep 300", check=False)
    assert container.wait() == 124
    assert time.monotonic() - began >= 2
    assert "FARGATE_MAX_LIFETIME of 2 s is over" in container.said


@pytest.mark.root
def test_the_end_of_the_server_is_the_containers(container: Container) -> None:
    container.start()
    container.open()
    listener = container.ssh("set -- $(cat /proc/1/task/1/children); echo $1").stdout.decode()
    container.ssh(f"kill -9 {listener}", check=False)
    assert container.wait() == 70
    assert "the SSH server ended (signal 9)" in container.said


@pytest.mark.root
def test_services_are_named_in_the_hosts_file(container: Container) -> None:
    hosts = container.root / "etc" / "hosts"
    hosts.write_text("127.0.0.1 localhost")
    lines = ["127.0.0.1 localhost", *(f"127.0.0.1\t{alias}" for alias in ALIASES)]
    for _start in range(2):
        container.start()
        container.until_it_listens()
        assert hosts.read_text().splitlines() == lines
        os.kill(container.host_pid, signal.SIGTERM)
        assert container.wait() == 143


@pytest.mark.root
def test_a_hosts_file_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    container = Container(tmp_path, "busybox", user=12345, arguments=("--hosts", "db"))
    container.start()
    try:
        container.until_it_listens()
        assert "reached at 127.0.0.1, not by name" in container.said
        close_master(str(container.job))
    finally:
        container.stop()


def test_without_a_pid_namespace_only_its_own_processes_end() -> None:
    with subprocess.Popen(["sleep", "300"]) as bystander:
        try:
            done = _init(
                *("--port", str(free_port())),
                SSH_PUBLIC_KEY=KEY,
                FARGATE_LISTEN_ADDRESS="127.0.0.1",
                FARGATE_MAX_LIFETIME="1",
            )
            assert done.returncode == 124
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_inject_copies_the_tools_and_opens_directories(tmp_path: Path) -> None:
    target, builds, cache = (tmp_path / name for name in ("target", "builds", "cache"))
    builds.mkdir(mode=0o700)
    target.mkdir(mode=0o700)
    for _again in range(2):
        subprocess.run([tools() / "inject", target, builds, cache], check=True, umask=0o077)
        assert {path.name for path in target.iterdir()} == {
            *("busybox", "init", "inject", "sh", "sshd")
        }
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (target, *target.iterdir())}
    assert set(modes.values()) == {0o755}
    for path in (builds, cache):
        assert path.stat().st_mode & 0o7777 == 0o777
    assert (target / "sh").readlink().name == "busybox"
    assert (target / "sshd").read_bytes() == (tools() / "sshd").read_bytes()


def test_inject_says_what_it_can_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [tools() / "inject", tmp_path / "file" / "target"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64
    assert done.stderr == f"fargate: {tmp_path}/file/target: Not a directory\n"
    usage = subprocess.run([tools() / "inject"], capture_output=True, text=True, check=False)
    assert (usage.returncode, "inject TARGET" in usage.stderr) == (64, True)
