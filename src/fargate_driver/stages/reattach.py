"""Connecting again to a task whose connection was lost, for as long as that can help."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from fargate_driver.errors import DriverError
from fargate_driver.ssh.master import reopen_master
from fargate_driver.stages import lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.ssh.connection import Connection

_FIRST_LOOK = 2.0
"""Seconds after which ECS is asked whether the task lives: most reconnections are quicker."""
_LOOK_INTERVAL = 10.0
"""Seconds between such looks; hundreds of jobs may have lost the same network."""
_AFTER_CANCEL = 20.0
"""Seconds in which a connection is still wanted after a cancel, to end the script."""


def connect_again(
    connection: Connection,
    directory: str,
    patience: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Open a new master to the same task, with the same host key.

    Args:
        connection: the connection that was lost.
        directory: the job's directory.
        patience: seconds to try for.
        cancelled: whether the stage is to stop.

    Raises:
        DriverError: there is no way to the task; one line.
    """
    reopen_master(connection, patience, _Trying(directory, cancelled))


class _Trying:
    """What is done between the attempts: see that they still make sense."""

    def __init__(self, directory: str, cancelled: Callable[[], bool]) -> None:
        self._directory = directory
        self._cancelled = cancelled
        self._give_up: float | None = None
        # Many jobs may have lost the same network at the same moment.
        spread = random.uniform(1, 3)  # noqa: S311 - spreads calls
        self._next_look = time.monotonic() + _FIRST_LOOK * spread

    def __call__(self, reason: str) -> None:
        now = time.monotonic()
        if self._cancelled():
            self._give_up = self._give_up or now + _AFTER_CANCEL
            if now > self._give_up:
                raise DriverError(f"cancelled, and the script can't be ended: {reason}")
        if now > self._next_look:
            self._next_look = now + _LOOK_INTERVAL
            if over := lost.end_of_task(self._directory):
                raise DriverError(over)
