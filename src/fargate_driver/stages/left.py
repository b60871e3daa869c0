"""Ending what a stage left running in the task: its driver was killed, or lost the connection."""

from __future__ import annotations

from fargate_driver import jobs
from fargate_driver.console import say
from fargate_driver.errors import DriverError
from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.errors import MasterGoneError
from fargate_driver.ssh.session import end_stage
from fargate_driver.stages.reattach import connect_again

_PATIENCE = 3.0
"""Seconds for a new connection where the one that stands is gone."""


def end(directory: str, *, connect: bool = True) -> None:
    """End the process trees of all stages that nobody hears any more.

    What can't be ended is said, and stays noted for the next stage.

    Args:
        directory: the job's directory.
        connect: whether a connection that is gone is made again.
    """
    for place in jobs.places(directory):
        if not (stages := jobs.left_running(place)):
            continue
        try:
            access = jobs.load_access(place)
            if not access:
                continue
            connection = Connection(
                place, access.host, access.port, access.user, access.wrapper_shell
            )
            for stage in stages:
                _end(connection, directory, access, stage, connect=connect)
                jobs.forget_running(place, stage)
                say("an earlier stage was left running in the task; it is ended now")
        except DriverError as e:
            say(f"what an earlier stage left may still run: {e}")


def _end(
    connection: Connection, directory: str, access: jobs.Access, stage: str, *, connect: bool
) -> None:
    def end_it() -> None:
        end_stage(
            connection, stage, init_pid=access.init_pid, state_directory=access.state_directory
        )

    try:
        end_it()
    except MasterGoneError:
        if not connect:
            raise
        connect_again(connection, directory, _PATIENCE)
        jobs.forget_lost(connection.directory)
        end_it()
