"""OpenSSH's server as the entrypoint of a job image sets it up, and its ways to misbehave."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.inside.programs import spawn

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.inside.plan import Plan


def run(plan: Plan, place: Path) -> int:
    """Start the SSH server, late if the plan says so; return its PID.

    Args:
        plan: the task.
        place: a private directory that the task sees, for the server's files.
    """
    started = time.monotonic()

    def remaining(seconds: float) -> float:
        return max(0.0, started + seconds - time.monotonic())

    if not plan.isolated:
        (place / "tmp").mkdir(mode=0o700)
    if os.geteuid() == 0:
        # Debian's sshd wants it and expects the service manager to make it.
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    keys = [place / "host_key"]
    if plan.other_host_key:
        keys.append(place / "other_host_key")
    for key in keys:
        _make_key(plan, key)
        config = place / f"{key.name}.conf"
        config.write_text(_config(plan, key, place))
    public_key = os.environ.get("SSH_PUBLIC_KEY", "") + "\n"
    if plan.refuses_key == 0:
        _write(place / "authorized_keys", public_key)
    elif plan.refuses_key is not None:
        _write_later(place / "authorized_keys", public_key, remaining(plan.refuses_key))
    time.sleep(remaining(plan.delay))
    configs = [f"{key}.conf" for key in keys]
    if plan.other_host_key:
        return _start_front(plan, configs)
    return spawn([plan.sshd, "-D", "-e", "-f", configs[0]])


def _config(plan: Plan, key: Path, place: Path) -> str:
    # SHLVL: the home may be the caller's. Debian's bash reads ~/.bashrc in sessions of sshd, unless
    # it takes itself for a shell within a shell; images have none that does much, callers do.
    # TMPDIR: a task that shares /tmp with the host would leave files there.
    variables = "SHLVL=1" if plan.isolated else f'SHLVL=1 "TMPDIR={place / "tmp"}"'
    return f"""\
Port {plan.port}
ListenAddress {plan.address}
HostKey "{key}"
AuthorizedKeysFile "{place / "authorized_keys"}"
PidFile none
UsePAM no
StrictModes no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
X11Forwarding no
PermitUserRC no
SetEnv {variables}
PrintMotd no
PrintLastLog no
"""


def _make_key(plan: Plan, key: Path) -> None:
    keygen = Path(plan.sshd).parent.parent / "bin" / "ssh-keygen"
    command = [str(keygen), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    _, status = os.waitpid(spawn(command), 0)
    if status:
        raise OSError(f"{keygen} failed with status {os.waitstatus_to_exitcode(status)}")


def _write(file: Path, text: str) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


def _write_later(file: Path, text: str, seconds: float) -> None:
    def write(_signal: int, _frame: object) -> None:
        _write(file, text)

    # No process of its own, which could be taken for one of the job's.
    signal.signal(signal.SIGALRM, write)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))


def connect(command: list[str]) -> socket.socket:
    """Start a server for one connection, and return the client's end of that."""
    own, server = socket.socketpair()
    with server:
        spawn(command, connection=server.fileno())
    return own


def _start_front(plan: Plan, configs: list[str]) -> int:
    # Only a task with this fault pays for the import.
    from fargate_driver.local.runtimes.inside.front import serve  # noqa: PLC0415

    pid = os.fork()
    if pid == 0:
        with socket.create_server((plan.address, plan.port), backlog=128) as listener:
            serve(listener, lambda other: connect([plan.sshd, "-i", "-e", "-f", configs[other]]))
    return pid
