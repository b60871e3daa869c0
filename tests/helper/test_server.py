"""The patched SSH server under OpenSSH's client, in containers that have next to nothing."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import signal
import struct
import subprocess
import termios
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh.errors import AuthenticationRefusedError
from fargate_driver.ssh.keys import make_key
from fargate_driver.ssh.master import close_master
from helper.tools_container import KINDS, Container
from ssh.pretended_task import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root

ODD = "two\nlines with 'quotes' and \"double ones\" and \\ and $HOME"


@pytest.fixture(params=[(kind, user) for kind in KINDS for user in (0, 12345)], ids=str)
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    kind, user = request.param
    environment = {"PATH": "/odd/place:/usr/bin:/bin", "ODD": ODD, "my.dot": "kept"}
    made = Container(tmp_path, kind, user=user, environment=environment)
    made.start()
    made.open()
    yield made
    made.stop()


def test_sessions_are_the_containers_own(container: Container) -> None:
    # Not the last command: the shell would run it in its own place, with what it exports.
    shown = container.ssh("cat /proc/$$/environ; true").stdout.split(b"\0")
    variables = dict(entry.decode().split("=", 1) for entry in shown if entry)
    assert variables == container.environment
    user = str(container._user)
    assert container.ssh("id -u; id -g; pwd").stdout.split() == [user.encode()] * 2 + [b"/"]
    assert container.ssh("readlink /proc/$$/exe").stdout == b"/opt/fargate/busybox\n"
    # A process group of its own, away from the server's.
    ids = container.ssh('read -r line </proc/$$/stat; set -- ${line##*) }; echo "$$ $3 $4"')
    pid, group, session = ids.stdout.split()
    assert pid == group == session


def test_exit_codes_and_signals_arrive(container: Container) -> None:
    for code in (0, 1, 7, 255):
        assert container.ssh(f"exit {code}", check=False).returncode == code
    assert container.ssh("kill -9 $$", check=False).returncode == 255
    # `kill 0` reaches the session alone.
    assert container.ssh("kill -TERM 0", check=False).returncode == 255
    assert container.ssh("echo still here").stdout == b"still here\n"


def test_input_and_output_arrive_whole(container: Container) -> None:
    for size in (0, 300 * 1024, 50 * 1024 * 1024):
        data = os.urandom(min(size, 1 << 20)) * max(size >> 20, 1)
        digest = hashlib.sha256(data).hexdigest().encode()
        assert container.ssh("sha256sum", data).stdout.split()[0] == digest
        if size < 1 << 20:
            assert container.ssh("cat; echo err >&2", data).stdout == data


def test_many_sessions_share_the_connection(container: Container) -> None:
    def one(number: int) -> tuple[int, bytes]:
        done = container.ssh(f"cat; sleep 1; exit {number}", b"%d" % number, check=False)
        return done.returncode, done.stdout

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(one, range(12))) == [(n, b"%d" % n) for n in range(12)]


def test_a_session_ends_although_a_background_process_holds_its_output(
    container: Container,
) -> None:
    assert container.ssh("sleep 300 & echo started").stdout == b"started\n"


def test_a_terminal_has_the_clients_size_and_its_changes(container: Container) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(container.job)
        words = ["ssh", "-F", "none", "-S", "mux", "-tt", "x@127.0.0.1"]
        os.execvp("ssh", [*words, "while sleep 0.2; do stty size; done; echo not reached"])
    os.set_blocking(terminal, False)
    output = b""

    def shows(text: bytes, columns: int) -> bool:
        nonlocal output
        # Again and again: ssh misses a change that comes while it sets up.
        for rows in (40, 44):
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
        with contextlib.suppress(BlockingIOError):
            output += os.read(terminal, 65536)
        return text in output

    try:
        wait_until(lambda: shows(b"44 77\r\n", 77))
        wait_until(lambda: shows(b"44 111\r\n", 111))
        os.write(terminal, b"\x03")
        wait_until(
            lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    assert b"not reached" not in output


def test_the_end_of_the_input_does_not_hang_up_a_terminal(container: Container) -> None:
    done = container.ssh("sleep 0.3; tty", b"", "-tt")
    assert done.stdout.startswith(b"/dev/pts/")


def test_keys_are_exchanged_anew(tmp_path: Path) -> None:
    container = Container(tmp_path, "busybox")
    container.start()
    container.until_it_listens()
    try:
        words = ["ssh", "-F", "none", "-v", "-i", "key", "-p", str(container.port)]
        options = [
            "-oRekeyLimit=1M",
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
        ]
        done = subprocess.run(
            [*words, *options, "x@127.0.0.1", "cat"],
            cwd=container.job,
            input=b"x" * (5 << 20),
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert len(done.stdout) == 5 << 20
        assert done.stderr.count(b"SSH2_MSG_NEWKEYS received") > 2
    finally:
        container.stop()


def test_only_the_given_key_gets_in_and_nothing_is_forwarded(tmp_path: Path) -> None:
    container = Container(tmp_path, "busybox")
    container.start()
    try:
        container.open()
        words = ["ssh", "-F", "none", "-S", "none", "-i", "key", "-p", str(container.port)]
        words += ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]

        def attempt(*options: str) -> subprocess.CompletedProcess[str]:
            command = [*words, *options, "x@127.0.0.1"]
            return subprocess.run(
                command,
                cwd=container.job,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        refused = attempt("-W", f"127.0.0.1:{container.port}")
        assert "administratively prohibited" in refused.stderr or "open failed" in refused.stderr
        refused = attempt("-N", "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
        assert "remote port forwarding failed" in refused.stderr
        refused = attempt("-oPubkeyAuthentication=no")
        assert "Permission denied (publickey)" in refused.stderr
        (container.job / "known_hosts").rename(tmp_path / "known_hosts")
        make_key(str(container.job), "another")
        refused = attempt()
        assert "Permission denied (publickey)" in refused.stderr
        close_master(str(container.job))
        with pytest.raises(AuthenticationRefusedError):
            container.open(1)
    finally:
        container.stop()
