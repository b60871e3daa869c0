"""Connecting to the containers of a task that runs, and leaving to run how it reaches them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver import jobs
from fargate_driver.console import say
from fargate_driver.ecs.errors import TaskStoppedError
from fargate_driver.errors import DriverError
from fargate_driver.ssh import master, probe, watchdog
from fargate_driver.ssh.connection import KEY, KNOWN_HOSTS, Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.ecs.watch import Watch
    from fargate_driver.settings import Settings
    from fargate_driver.ssh.probe import Probe

_TOOLS_SHELL = "/opt/fargate/sh"
_ANY_USER = "job"
"""The tools' server takes any name: whoever has the key is the container's own user."""


class Place(NamedTuple):
    """A container that the driver logs in to.

    Attributes:
        directory: The connection's own.
        user: Who logs in.
        port: Of its SSH server.
        wrapper_shell: As `Connection` has it.
        lifetime: Seconds after which a watchdog ends the task; 0 where its own init does.
    """

    directory: str
    user: str
    port: int
    wrapper_shell: str = "/bin/sh"
    lifetime: int = 0

    def connection(self, address: str) -> Connection:
        """The connection to it.

        Args:
            address: The task's.
        """
        return Connection(self.directory, address, self.port, self.user, self.wrapper_shell)

    def connect(
        self, address: str, deadline: float, on_retry: Callable[[str], None], watcher: Watch
    ) -> Probe:
        """Open the connection, look at the container, and note for run what it needs.

        Args:
            address: The task's.
            deadline: When to give up (time.monotonic).
            on_retry: Told each time why there is no connection yet.
            watcher: Sees whether the task lives.

        Raises:
            DriverError: No usable connection.
        """
        connection = self.connection(address)
        try:
            master.open_master(connection, deadline, on_retry)
            found = probe.probe(connection, deadline)
            if self.lifetime and not watchdog.start(connection, found, self.lifetime, deadline):
                say("MaxLifetime can't be kept: the container's first process can't be told")
        except TaskStoppedError:
            raise
        except DriverError:
            watcher.look()  # a task that stopped is the better reason, and may be worth another
            raise
        jobs.Access(
            user=self.user,
            host=address,
            port=self.port,
            wrapper_shell=self.wrapper_shell,
            shell=found.shell,
            init_pid=found.init_pid,
            state_directory=found.state_directory,
        ).save(self.directory)
        return found


def places(config: Settings, directory: str, lifetime: int, *, derived: bool) -> list[Place]:
    """The containers to connect to, the job's own first.

    Args:
        config: The settings.
        directory: The job's directory.
        lifetime: Seconds after which the task is to end by itself.
        derived: Whether the driver made the task definition.
    """
    if not derived:
        user, port = config.ssh.username, config.ssh.port
        return [Place(directory, user, port, lifetime=lifetime)]
    images = config.images
    return [
        Place(directory, _ANY_USER, images.ssh_port, _TOOLS_SHELL),
        Place(jobs.helper_directory(directory), _ANY_USER, images.helper_ssh_port, _TOOLS_SHELL),
    ]


def make_helper_directory(directory: str) -> None:
    """Make the directory of the connection to the helper; it shares the job's key.

    Args:
        directory: The job's directory.

    Raises:
        RecordError: It can't be made.
    """
    helper = jobs.helper_directory(directory)
    jobs.create(helper)
    link = Path(helper, KEY)
    link.unlink(missing_ok=True)
    link.symlink_to(Path(os.pardir, KEY))


def close(directory: str) -> None:
    """Close every connection of a job.

    Args:
        directory: The job's directory; it may be gone.
    """
    for place in (directory, jobs.helper_directory(directory)):
        # Files that can't be removed are told where the job's directory is.
        with contextlib.suppress(OSError):
            master.close_master(place)


def forget_host_keys(directory: str) -> None:
    """Let the next task of a job have host keys of its own.

    Args:
        directory: The job's directory.
    """
    for place in (directory, jobs.helper_directory(directory)):
        Path(place, KNOWN_HOSTS).unlink(missing_ok=True)
