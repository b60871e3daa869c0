"""Ending what a stage left running in the task: its driver was killed, or lost the connection."""

from __future__ import annotations

from fargate_driver import jobs
from fargate_driver.console import say
from fargate_driver.errors import explained
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.errors import MasterGoneError
from fargate_driver.ssh.session import END_LIMIT, end_stage
from fargate_driver.stages.reattach import connect_again

_PATIENCE = 3.0
"""Seconds for a new connection where the one that stands is gone."""
_HURRY = 5.0
"""Seconds for an answer where the task, which costs money, is stopped next."""


def end(directory: str, *, hurry: bool = False) -> None:
    """End the process trees of all stages that nobody hears any more.

    What can't be ended, for whatever reason, is said, and stays noted for the next stage.

    Args:
        directory: the job's directory.
        hurry: the task is stopped next: a connection that is gone is not made again, and a server
            that does not answer is not waited for as long.
    """
    for place in jobs.places(directory):
        for stage in jobs.left_running(place):
            try:
                ran = _end(place, directory, stage, hurry=hurry)
            except Exception as e:  # noqa: BLE001 - what comes next matters more: above all StopTask
                say(f"what an earlier stage left may still run: {explained(e, debug=False)}")
                continue
            jobs.forget_running(place, stage)
            if ran:
                say("an earlier stage was left running in the task; it is ended now")


def _end(place: str, directory: str, stage: str, *, hurry: bool) -> bool:
    access = jobs.load_access(place)
    if not access:
        return False
    connection = Connection(place, access.host, access.port, access.user, access.wrapper_shell)

    def end_it() -> bool:
        return end_stage(
            connection,
            stage,
            init_pid=access.init_pid,
            state_directory=access.state_directory,
            answer=_HURRY if hurry else END_LIMIT,
        )

    try:
        return end_it()
    except MasterGoneError:
        if hurry:
            raise
        connect_again(connection, directory, _PATIENCE)
        jobs.forget_lost(place)
        return end_it()
