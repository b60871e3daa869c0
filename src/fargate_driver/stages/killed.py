"""What is said of a script that a signal ended: with its task, or while that lives on."""

from __future__ import annotations

import time

from fargate_driver import records
from fargate_driver.ecs import diagnosis
from fargate_driver.errors import DriverError
from fargate_driver.ssh.mux import listens
from fargate_driver.stages import lost

_DEATH = 0.3
"""Seconds in which the processes of a task that is killed die one after another: the one that
reports the script's end may be the last but the SSH server."""
_PATIENCE = 10.0
"""Seconds for ECS to notice that a task has ended."""


def end_of_task(directory: str, place: str) -> str:
    """Why the task ended together with the script; "" where the connection or the task lives on.

    Args:
        directory: the job's directory.
        place: the directory of the connection.
    """
    deadline = time.monotonic() + _PATIENCE
    time.sleep(_DEATH)
    if listens(place):
        return ""
    why = ""
    while not why and time.monotonic() < deadline:
        why = lost.end_of_task(directory)
        time.sleep(0 if why else 1)
    return why


def hint(directory: str, code: int) -> str | None:
    """Say what an exit code may mean.

    Args:
        directory: the job's directory, whose record tells the task's size.
        code: the script's exit code.

    Returns:
        One line, or None for codes that speak for themselves.
    """
    try:
        record = records.load(directory)
    except DriverError:
        record = None
    size, container = (record.size, record.container) if record else ({}, "")
    verdict = diagnosis.of_script_exit(code, size, container)
    return verdict.line if verdict else None
