"""The failures that end a stage.

The text of each is one line for a human being: what happened, where, and how to mend it.
"""

from __future__ import annotations

from fargate_driver.console import say


class DriverError(Exception):
    """Something failed that the job's script is not to blame for: a system failure."""


class JobConfigurationError(DriverError):
    """A value that only the author of the CI job can mend: a build failure, never retried."""


def explained(error: BaseException, *, debug: bool) -> DriverError:
    """What ended a command, as one line.

    Args:
        error: whatever was raised.
        debug: whether to show the traceback as well.
    """
    if debug:
        import traceback  # noqa: PLC0415 - costs more than a stage

        say("".join(traceback.format_exception(error)))
    if isinstance(error, DriverError):
        return error
    if not isinstance(error, Exception):
        return DriverError("interrupted")
    hint = "" if debug else "; --debug shows the traceback"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return DriverError(f"internal error: {text} (please report this{hint})")
