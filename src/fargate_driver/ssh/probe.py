"""What the job container offers: found once, by prepare, over the job's new connection."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.ssh.errors import MasterGoneError, UnusableContainerError
from fargate_driver.ssh.mux import Session
from fargate_driver.ssh.remote import probe_command

if TYPE_CHECKING:
    from fargate_driver.ssh.connection import Connection

_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/builds")  # noqa: S108 - a private one is made there
_MOST = 65536
"""Bytes of output that are looked at: a login shell may greet at length."""


class Probe(NamedTuple):
    """The job container as its user sees it, with the environment of its first process."""

    shell: str
    """Interpreter for scripts: "bash" where there is one, else "sh"."""
    init_pid: int
    """The task's first process as the session sees it; 0 when it could not be told."""
    state_directory: str
    """A private directory in the container, made by the probe."""
    environment_readable: bool
    """Whether the first process's environment could be read; sshd as PID 1 overwrites its own."""
    programs: frozenset[str]
    """Which of bash, sh, pwsh, git and gitlab-runner the container's PATH has."""


def probe(connection: Connection, deadline: float) -> Probe:
    """Look at the job container over its open master.

    Args:
        connection: The job's connection.
        deadline: When to give up, as `time.monotonic` counts.

    Raises:
        UnusableContainerError: The login shell or the wrapper's does not work, there is no writable
            directory or no shell for scripts, or no answer came in time.
        MasterGoneError: There is no connection.
        SessionRefusedError: The server allows no session.
    """
    nonce = os.urandom(8).hex()
    command = probe_command(
        wrapper_shell=connection.wrapper_shell, nonce=nonce, directories=_DIRECTORIES
    )
    output, session = _ask(connection.directory, command, deadline)
    text = output.decode(errors="replace")
    parts = text.split(f"fargate-probe {nonce}\n")
    if len(parts) != 3:
        if session.ended and session.status is None:
            raise MasterGoneError("the SSH connection was lost while the container was looked at")
        raise UnusableContainerError(_silence(connection, text, session.status))
    found = [line.partition("=") for line in parts[1].splitlines()]
    values = {name: value for name, _, value in found if name != "has"}
    programs = frozenset(value for name, _, value in found if name == "has")
    if not values["state"]:
        raise UnusableContainerError(
            f"{connection.user} can write to none of {', '.join(_DIRECTORIES)} and the home"
            " directory in the job container: give it a writable /tmp"
        )
    if programs.isdisjoint(("bash", "sh", "pwsh")):
        raise UnusableContainerError(
            "the job's image has no shell: neither bash nor sh nor pwsh is on its PATH. GitLab's"
            " scripts need one: take an image that has it"
        )
    return Probe(
        shell="bash" if "bash" in programs else "sh",
        init_pid=int(values["init"]),
        state_directory=values["state"],
        environment_readable=values["environment"] == "yes",
        programs=programs,
    )


def _ask(directory: str, command: bytes, deadline: float) -> tuple[bytes, Session]:
    """Run a command without input; its output of both kinds, and the session, now closed."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    reading, writing = os.pipe()
    try:
        session = Session(directory, command, (nothing, writing, writing))
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(nothing)
        os.close(writing)
    output = b""
    poll = select.poll()
    poll.register(session, select.POLLIN)
    poll.register(reading, select.POLLIN)
    streaming = True
    try:
        while streaming or not session.ended:
            events = poll.poll(max(deadline - time.monotonic(), 0.0) * 1000)
            if not events:
                break
            for descriptor, _event in events:
                if descriptor == reading:
                    data = os.read(reading, 4096)
                    output = (output + data)[-_MOST:]
                    streaming = bool(data)
                    if not streaming:
                        poll.unregister(reading)
                else:
                    session.receive()
                    if session.ended:
                        poll.unregister(descriptor)
    finally:
        session.close()
        os.close(reading)
    return output, session


def _silence(connection: Connection, text: str, status: int | None) -> str:
    said = " ".join(text.split())[-300:]
    ended = "did not answer in time" if status is None else f"ended with status {status}"
    return (
        f"commands do not run in the job container: the login shell of {connection.user} {ended}"
        + (f" and said: {said}" if said else "")
        + f". It needs a login shell that takes -c, and {connection.wrapper_shell}"
    )
