"""The way to a podman container's SSH server: its network, or a relay in front of it.

The kernel lets whoever started a container enter its network namespace. So nothing of the host's
network is changed, and no helper of podman's is needed to pass the port on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, NoReturn, Self

from fargate_driver.local.runtimes.inside import front, kernel, network, report, sshd

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.inside.container_plan import ContainerPlan

_SSH_PORT = 22
_RETRY = 0.02  # seconds
_LONGEST = 4096  # bytes of a message between the processes here


class Entrance:
    """Made before the container, opened once it runs, closed after it.

    A child process holds the task's address. With a link, that is a network namespace, which the
    container shares unless a fault needs a relay; without, a socket of the host's for the relay.

    Args:
        plan: the task.

    Raises:
        OSError: the network can't be set up.
    """

    def __init__(self, plan: ContainerPlan) -> None:
        relays = plan.link is None or plan.delay > 0 or plan.other_host_key is not None
        self._own, other = _channel()
        self._holder = os.fork()
        if self._holder == 0:
            self._own.close()
            _hold(plan, other, relays=relays)
        other.close()
        self.network: list[str] = []
        """What `podman run` is to be told."""
        if plan.link:
            shared = f"ns:/proc/{self._holder}/ns/net"
            self.network = ["--network", "none" if relays else shared]
        try:
            self._expect(b"namespace")
            if plan.link:
                network.connect(plan.link, self._holder)
            self._own.send(b"connected")
            self._expect(b"held")
        except OSError:
            self._end()
            raise

    def open(self, pid: int) -> None:
        """Let clients through.

        Args:
            pid: the container's first process.

        Raises:
            OSError: there is no way into its network.
        """
        self._own.send(str(pid).encode())
        self._expect(b"open")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _expect(self, what: bytes) -> None:
        said = self._own.recv(_LONGEST)
        if said != what:
            raise OSError(said.decode() or "the process for the task's network ended")

    def _end(self) -> None:
        self._own.close()
        # All that the holder started: a blackhole may have stopped them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._holder, signal.SIGKILL)
        os.waitpid(self._holder, 0)


def _channel() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps messages apart


def _hold(plan: ContainerPlan, channel: socket.socket, *, relays: bool) -> NoReturn:
    try:
        os.setpgid(0, 0)
        kernel.die_with_parent(signal.SIGKILL)
        # Its output is for the log: stdout goes to the embedded Fargate.
        os.dup2(2, 1)
        if plan.link:
            kernel.unshare(kernel.NEW_NET)
        channel.send(b"namespace")
        channel.recv(_LONGEST)
        if plan.link:
            network.configure(plan.address, plan.link)
        with socket.socket() as listener:
            if relays:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((plan.address, plan.port))
            channel.send(b"held")
            pid = channel.recv(_LONGEST).decode()
            if relays and pid:
                _relay(plan, listener, pid, channel)
            # A container that shares the namespace keeps it.
            channel.send(b"open")
    except OSError as error:
        channel.send(report.describe(error).encode())
    finally:
        os._exit(0)


def _relay(plan: ContainerPlan, listener: socket.socket, pid: str, channel: socket.socket) -> None:
    started = time.monotonic()
    own, other = _channel()
    if os.fork() == 0:
        own.close()
        listener.close()
        _dial(other, pid)
    other.close()
    said = own.recv(_LONGEST)
    channel.send(said)
    if said != b"open":
        return
    first = None
    # A port on which nothing listens stays one: the container's server comes first.
    while first is None or time.monotonic() < started + plan.delay:
        time.sleep(_RETRY)
        first = first or _connect(own)
    first.close()
    listener.listen(128)

    def connect(other_key: bool) -> socket.socket | None:
        if other_key and plan.other_host_key:
            return sshd.connect(plan.other_host_key)
        return _connect(own)

    front.serve(listener, connect)


def _connect(dialer: socket.socket) -> socket.socket | None:
    """Ask for a connection to the container's server."""
    dialer.send(b"?")
    _, files, _, _ = socket.recv_fds(dialer, 1, 1)
    return socket.socket(fileno=files[0]) if files else None


def _dial(channel: socket.socket, pid: str) -> NoReturn:
    """Be a process in the container's network that makes connections for one outside."""
    try:
        kernel.set_process_name("sshd-front")
        if os.geteuid() != 0:
            kernel.join(f"/proc/{pid}/ns/user")
        kernel.join(f"/proc/{pid}/ns/net")
        channel.send(b"open")
        while channel.recv(1):
            try:
                connection = socket.create_connection(("127.0.0.1", _SSH_PORT))
            except OSError:
                channel.send(b"-")
            else:
                with connection:
                    socket.send_fds(channel, [b"+"], [connection.fileno()])
    except OSError as error:
        channel.send(report.describe(error).encode())
    finally:
        os._exit(0)
