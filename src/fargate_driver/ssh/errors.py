"""Why the connection to a task failed. The text of each is one line for a human being."""

from __future__ import annotations

from fargate_driver.errors import DriverError


class UnreachableError(DriverError):
    """No SSH server answers at the task's address."""


class AuthenticationRefusedError(DriverError):
    """The SSH server answers, and does not accept the job's key."""


class HostKeyChangedError(DriverError):
    """Another host key than the one pinned at the job's first connection: never retried."""


class MasterGoneError(DriverError):
    """No ControlMaster listens in the job's directory; nothing was sent to the task."""


class SessionRefusedError(DriverError):
    """The master is there, but it or the SSH server refuses a further session."""


class NotEndedError(DriverError):
    """Processes of a stage that was to be ended may still run."""


class UnusableContainerError(DriverError):
    """The job container lacks what no script can run without."""


class NoShellError(UnusableContainerError):
    """The job's image has no shell."""
