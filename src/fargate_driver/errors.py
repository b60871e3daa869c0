"""The failures that end a stage.

The text of each is one line for a human being: what happened, where, and how to mend it.
"""


class DriverError(Exception):
    """Something failed that the job's script is not to blame for: a system failure."""


class JobConfigurationError(DriverError):
    """A value that only the author of the CI job can mend: a build failure, never retried."""
