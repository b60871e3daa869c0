"""What the driver says to a human being: one line at a time, on stderr.

In the stages config, prepare and run, stderr is the job's log; in cleanup it is gitlab-runner's.
Colours and sections are for GitLab, which shows them whatever the runner's stderr is; with NO_COLOR
(https://no-color.org) everything is plain lines.
"""

import os
import time

from fargate_driver import masking

_YELLOW = "\033[0;33m"
_BOLD_CYAN = "\033[36;1m"
_RESET = "\033[0;m"
"""As gitlab-runner colours its warnings and the titles of its sections."""


def say(text: str) -> None:
    """Write a line to stderr at once; a stderr that is gone is no reason to fail.

    Args:
        text: The line, without its end. Several lines are each marked as the driver's.
    """
    _write("".join(f"fargate: {line}\n" for line in text.splitlines()))


def warn(text: str) -> None:
    """Write a warning into the job's log.

    Args:
        text: The line, without its end.
    """
    line = f"fargate: WARNING: {text}"
    _write(f"{line}\n" if _plain() else f"{_YELLOW}{line}{_RESET}\n")


class Section:
    """A part of the job's log that GitLab can collapse, and that it shows the duration of.

    The marks are https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections; terminals
    and GitLab wipe them out by the carriage return and ESC [0K that end them.

    Args:
        name: Of letters, digits and _.- alone, once per log.
        title: Its first line.
    """

    def __init__(self, name: str, title: str) -> None:
        self._name = name
        self._title = title

    def __enter__(self) -> None:
        """Begin the section."""
        title = f"fargate: {self._title}"
        if not _plain():
            title = f"{self._mark('start')}{_BOLD_CYAN}{title}{_RESET}"
        _write(f"{title}\n")

    def __exit__(self, *_: object) -> None:
        """End it: what is said from now on stays visible."""
        if not _plain():
            _write(self._mark("end"))

    def _mark(self, which: str) -> str:
        return f"\033[0Ksection_{which}:{int(time.time())}:{self._name}\r\033[0K"


def _plain() -> bool:
    return bool(os.environ.get("NO_COLOR"))


def _write(text: str) -> None:
    try:
        os.write(2, masking.whole(text).encode("utf-8", "backslashreplace"))
    except OSError:
        return
