"""What the job container offers: found once, by prepare, over the job's new connection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.ssh.ask import ask
from fargate_driver.ssh.errors import NoShellError, UnusableContainerError
from fargate_driver.ssh.remote import probe_command

if TYPE_CHECKING:
    from fargate_driver.ssh.connection import Connection

_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/builds")  # noqa: S108 - a private one is made there
_SHELLS = ("bash", "sh", "busybox")
"""In order of preference; where there is busybox alone, its shell may have no link."""


class Probe(NamedTuple):
    """The job container as its user sees it, with the environment of its first process."""

    shell: str
    """Interpreter for scripts: "bash", else "sh", else "busybox"."""
    init_pid: int
    """The task's first process as the session sees it; 0 when it could not be told."""
    state_directory: str
    """A private directory in the container, made by the probe."""
    environment_readable: bool
    """Whether the first process's environment could be read; sshd as PID 1 overwrites its own."""
    programs: frozenset[str]
    """Which of bash, sh, busybox, pwsh, git and gitlab-runner the container's PATH has."""


def probe(connection: Connection, deadline: float) -> Probe:
    """Look at the job container over its open master.

    Args:
        connection: The job's connection.
        deadline: When to give up, as `time.monotonic` counts.

    Raises:
        UnusableContainerError: The login shell or the wrapper's does not work, there is no writable
            directory, or no answer came in time.
        NoShellError: There is no shell for scripts.
        MasterGoneError: There is no connection.
        SessionRefusedError: The server allows no session.
    """
    nonce = os.urandom(8).hex()
    command = probe_command(
        wrapper_shell=connection.wrapper_shell, nonce=nonce, directories=_DIRECTORIES
    )
    answer = ask(connection, command, f"fargate-probe {nonce}\n", deadline)
    programs = frozenset(value for name, value in answer if name == "has")
    found = dict(answer)
    if not found["state"]:
        raise UnusableContainerError(
            f"{connection.user} can write to none of {', '.join(_DIRECTORIES)} and the home"
            " directory in the job container: give it a writable /tmp"
        )
    shell = next((shell for shell in _SHELLS if shell in programs), None)
    if not shell and "pwsh" not in programs:
        raise NoShellError(
            "the job's image has no shell: none of bash, sh, busybox and pwsh is on its PATH, and"
            " GitLab's scripts need one: take an image that has it"
        )
    return Probe(
        shell=shell or "sh",
        init_pid=int(found["init"]),
        state_directory=found["state"],
        environment_readable=found["environment"] == "yes",
        programs=programs,
    )
