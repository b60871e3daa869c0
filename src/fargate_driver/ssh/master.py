"""The OpenSSH ControlMaster of a job: one connection, verified once, that every stage uses."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.errors import DriverError
from fargate_driver.ssh.connection import KEY, KNOWN_HOSTS, LOG, SOCKET, Connection, log_reason
from fargate_driver.ssh.environment import ENVIRONMENT
from fargate_driver.ssh.errors import (
    AuthenticationRefusedError,
    HostKeyChangedError,
    UnreachableError,
)
from fargate_driver.ssh.port import port_trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ATTEMPT = 20.0
"""Seconds for one connection, from TCP to the accepted key."""
_END = 2.0
"""Seconds from SIGTERM to SIGKILL for ssh itself."""

# ssh keeps an inherited SIG_IGN for these: stopping gitlab-runner gracefully sends SIGQUIT to what
# its service manager finds, and the job's connection has to survive that.
_IGNORE_SIGNALS = 'trap "" HUP INT QUIT; exec "$0" "$@"'

_OPTIONS = {
    "BatchMode": "yes",
    "CheckHostIP": "no",
    "ClearAllForwardings": "yes",
    "ConnectTimeout": "10",
    "ControlPersist": "no",
    "EscapeChar": "none",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "GlobalKnownHostsFile": "/dev/null",
    # The task's address says nothing, tasks come and go: the pin belongs to the job.
    "HostKeyAlias": "job",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "IdentityFile": KEY,
    "LogLevel": "INFO",
    "PreferredAuthentications": "publickey",
    "RequestTTY": "no",
    # A silent network is noticed after 40 s, a task that is only busy has three chances before.
    "ServerAliveCountMax": "3",
    "ServerAliveInterval": "10",
    "TCPKeepAlive": "yes",
    "UpdateHostKeys": "no",
    "UserKnownHostsFile": KNOWN_HOSTS,
}


class _Trouble(NamedTuple):
    error: type[DriverError]
    text: str
    final: bool = False


def open_master(connection: Connection, deadline: float, on_retry: Callable[[str], None]) -> None:
    """Open the job's connection, waiting while its SSH server comes up.

    The first host key that is seen is pinned in `known_hosts`; from then on no other is accepted,
    whatever became of the attempt. An exception from a signal handler leaves no ssh behind.

    Args:
        connection: Where to connect.
        deadline: When to give up, as `time.monotonic` counts.
        on_retry: Told the reason each time before waiting; what it raises ends the attempts.

    Raises:
        HostKeyChangedError: Another host key than the pinned one; at once.
        AuthenticationRefusedError: The key was still refused at the deadline.
        UnreachableError: No SSH server answered until the deadline.
        DriverError: ssh is missing here, or cannot talk to this server at all.
    """
    pause = 0.02
    said: _Trouble | None = None
    while True:
        left = deadline - time.monotonic()
        trouble = _attempt(connection, max(left, 1.0))
        if trouble is None:
            return
        if said and time.monotonic() >= deadline and not trouble.final:
            trouble = said  # an attempt that the deadline cut short has no reason of its own
        said = trouble
        refused = trouble.error is AuthenticationRefusedError
        # Servers since OpenSSH 9.8 shut out who is refused too often: 5 s of penalty each.
        pause = min(max(pause * 1.5, 1.0), 6.0) if refused else min(pause * 1.5, 1.0)
        if trouble.final or time.monotonic() + pause >= deadline:
            raise trouble.error(trouble.text)
        on_retry(trouble.text)
        time.sleep(pause)


def reopen_master(connection: Connection, timeout: float, on_retry: Callable[[str], None]) -> None:
    """Open the job's connection again after its master ended: the same task, the same host key.

    Args:
        connection: The same as before.
        timeout: Seconds to try for.
        on_retry: As of `open_master`.

    Raises:
        DriverError: As `open_master`; and where no host key was pinned before.
    """
    if not _pinned(connection.directory):
        raise UnreachableError(
            f"cannot connect to {connection} again: this job has no pinned host key"
        )
    close_master(connection.directory)
    open_master(connection, time.monotonic() + timeout, on_retry)


def close_master(directory: str) -> None:
    """End every ssh that works in the job's directory, also one that has no socket yet.

    They are found by their working directory and arguments, so neither a pid that meanwhile
    belongs to another process nor a stale socket misleads this. Idempotent.

    Args:
        directory: The job's private directory; it may be gone.
    """
    deadline = time.monotonic() + _END
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _masters(directory):
            _end(pid, number, deadline)
    Path(directory, SOCKET).unlink(missing_ok=True)


def _attempt(connection: Connection, left: float) -> _Trouble | None:
    """One try; None means that the master stands."""
    # ssh's own start costs more than this look, and tells less about a port that isn't open yet.
    text = port_trouble(connection.host, connection.port, min(left, 5.0))
    if text:
        return _Trouble(UnreachableError, _unreachable(connection, text))
    directory = connection.directory
    Path(directory, SOCKET).unlink(missing_ok=True)
    Path(directory, LOG).unlink(missing_ok=True)
    try:
        status = _run(_command(connection), directory, min(left, _ATTEMPT))
    except BaseException:
        close_master(directory)
        raise
    if status is None:
        close_master(directory)
    if status == 0:
        # What ssh says from now on is why the connection ended.
        Path(directory, LOG).write_bytes(b"")
        return None
    return _diagnose(connection, status)


def _command(connection: Connection) -> list[str]:
    # Not accept-new throughout: that accepts a key of another type from a host known by one.
    strict = "yes" if _pinned(connection.directory) else "accept-new"
    options = [f"-o{name}={value}" for name, value in _OPTIONS.items()]
    command = ["/bin/sh", "-c", _IGNORE_SIGNALS, "ssh", "-F", "none", "-f", "-N", "-M"]
    command += ["-S", SOCKET, "-E", LOG, *options, f"-oStrictHostKeyChecking={strict}"]
    return [*command, "-p", str(connection.port), "-l", connection.user, "--", connection.host]


def _run(command: list[str], directory: str, timeout: float) -> int | None:
    """Run ssh until it went to the background or failed; None when it did neither in time."""
    with subprocess.Popen(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            if _ends_within(process.pid, timeout):
                return process.wait()
        finally:
            process.kill()
    return None


def _ends_within(pid: int, timeout: float) -> bool:
    """Wait for a process by an event: Popen.wait with a time limit sleeps up to 50 ms too long."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(max(timeout, 0.0) * 1000))
    finally:
        os.close(handle)


def _pinned(directory: str) -> bool:
    known_hosts = Path(directory, KNOWN_HOSTS)
    return known_hosts.exists() and known_hosts.stat().st_size > 0


def _diagnose(connection: Connection, status: int | None) -> _Trouble:
    try:
        log = Path(connection.directory, LOG).read_text(errors="replace")
    except FileNotFoundError:
        log = ""
    reason = log_reason(connection.directory) or f"ssh ended with status {status}"
    if status is None:
        return _Trouble(UnreachableError, _unreachable(connection, "the SSH server does not go on"))
    if status == 127:
        text = "ssh is not on the runner manager's PATH: install the OpenSSH client"
        return _Trouble(DriverError, text, final=True)
    if "Host key verification failed" in log:
        text = (
            f"the host key of {connection} is not the one that this job saw first: nothing was"
            " sent to it. Either the container's sshd made new keys when it restarted, or"
            " somebody else answers at this address"
        )
        return _Trouble(HostKeyChangedError, text, final=True)
    if "Permission denied" in log or "Too many authentication failures" in log:
        text = (
            f"{connection} refuses the job's key ({reason}): the container's entrypoint must"
            " write SSH_PUBLIC_KEY to that user's authorized_keys before or soon after sshd"
            " starts, and its sshd must accept ed25519 keys"
        )
        return _Trouble(AuthenticationRefusedError, text)
    final = "Unable to negotiate" in log or "Bad configuration option" in log
    return _Trouble(UnreachableError, _unreachable(connection, reason), final)


def _unreachable(connection: Connection, reason: str) -> str:
    said = f"no SSH connection to {connection}: {reason}"
    if _pinned(connection.directory):
        return said  # there was one: the set-up is not at fault
    return (
        f"{said}. Check that the security group lets the"
        f" runner manager reach port {connection.port}, that sshd runs and listens there, and"
        " that the address is the right one of the private and the public (UsePublicIP)"
    )


def _masters(directory: str) -> Iterator[int]:
    """The pids of the ssh processes whose working directory this is."""
    try:
        ours = Path(directory).stat()
    except FileNotFoundError:
        return
    marker = f"\0-S\0{SOCKET}\0-E\0{LOG}\0".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            place = os.stat(f"/proc/{entry}/cwd")
            if (
                os.path.samestat(place, ours)
                and marker in Path(f"/proc/{entry}/cmdline").read_bytes()
            ):
                yield int(entry)
        except OSError:
            continue  # ended meanwhile, or another user's


def _end(pid: int, number: signal.Signals, deadline: float) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    _ends_within(pid, deadline - time.monotonic() if number == signal.SIGTERM else _END)
