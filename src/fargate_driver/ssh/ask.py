"""Asking a container something: a command of the driver's own whose few lines are the answer."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from fargate_driver.ssh.errors import MasterGoneError, UnusableContainerError
from fargate_driver.ssh.mux import Session

if TYPE_CHECKING:
    from fargate_driver.ssh.connection import Connection

_MOST = 65536
"""Bytes of output that are looked at: a login shell may greet at length."""


def ask(
    connection: Connection, command: bytes, bracket: str, deadline: float
) -> list[tuple[str, str]]:
    """Run a command that prints lines NAME=VALUE between two equal ones.

    Args:
        connection: The job's connection.
        command: The command line.
        bracket: The line before and after the answer, its newline included; nobody else's.
        deadline: When to give up, as `time.monotonic` counts.

    Returns:
        Names and values, in order.

    Raises:
        UnusableContainerError: Commands do not run there, or no answer came in time.
        MasterGoneError: There is no connection.
        SessionRefusedError: The server allows no session.
    """
    output, session = run(connection.directory, command, deadline)
    text = output.decode(errors="replace")
    parts = text.split(bracket)
    if len(parts) != 3:
        if session.ended and session.status is None:
            raise MasterGoneError("the SSH connection was lost while the container was looked at")
        raise UnusableContainerError(_silence(connection, text, session.status))
    lines = (line.partition("=") for line in parts[1].splitlines())
    return [(name, value) for name, _, value in lines]


def run(directory: str, command: bytes, deadline: float) -> tuple[bytes, Session]:
    """Run a command without input over the job's master.

    Args:
        directory: The job's private directory.
        command: What the login shell of the remote user runs.
        deadline: When to give up, as `time.monotonic` counts.

    Returns:
        The end of its output of both kinds, and the session, now closed.

    Raises:
        MasterGoneError: There is no connection.
        SessionRefusedError: The server allows no session.
    """
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
