"""Starting programs in a task."""

from __future__ import annotations

import os
import signal

# Python ignores these; programs of the task start with the kernel's defaults.
_DEFAULT_SIGNALS = [
    signal.SIGALRM,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGPIPE,
    signal.SIGTERM,
    signal.SIGXFSZ,
]


def spawn(command: list[str], *, connection: int | None = None) -> int:
    """Start a program with the container's environment and log; return its PID.

    Args:
        command: absolute path and arguments.
        connection: a descriptor to become stdin and stdout; otherwise silence and the log.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]]
    if connection is None:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),
        ]
    else:
        actions = [(os.POSIX_SPAWN_DUP2, connection, end) for end in (0, 1)]
    return os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=actions,
        setsigdef=_DEFAULT_SIGNALS,
        setsigmask=[],
    )
