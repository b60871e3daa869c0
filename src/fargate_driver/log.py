"""The operator's log: about the driver, not about the job's script.

Only records of this package are kept: botocore's at level debug hold requests with their
signatures. Values from a job's environment are never logged.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

from fargate_driver import masking
from fargate_driver.console import say

if TYPE_CHECKING:
    from fargate_driver.gitlab.job import Job
    from fargate_driver.settings import Settings

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}


def setup(settings: Settings, job: Job | None = None) -> None:
    """Send the log of this process where the settings want it.

    Without a LogFile that is stderr, hence the job's log; the default level is warning, so that a
    job's log has nothing of it unless there is something to mend.

    Args:
        settings: Of them LogLevel, LogFormat and LogFile, in which the flags are applied.
        job: Where known, every record names it.
    """
    handler = _handler(settings)
    fields: dict[str, Any] = {}
    if job:
        fields = {"job": job.id, "pipeline": job.pipeline_id, "project": job.project_path}
    if settings.log_format == "json":
        handler.setFormatter(_Json(fields))
    else:
        handler.setFormatter(_Text(fields, stamped=isinstance(handler, _FileHandler)))
    logger = logging.getLogger("fargate_driver")
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[settings.log_level])
    logger.propagate = False


def add(**fields: str) -> None:
    """Name something else in every record from now on.

    Args:
        fields: such as the task's id, by name.
    """
    for handler in logging.getLogger("fargate_driver").handlers:
        if isinstance(handler.formatter, _Json | _Text):
            handler.formatter.fields |= fields


def _handler(settings: Settings) -> logging.Handler:
    if settings.log_file is None:
        return logging.StreamHandler(sys.stderr)
    # O_NONBLOCK: a FIFO that nobody reads would hold the stage up for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(settings.log_file, flags, 0o600)
    except OSError as error:
        say(f"LogFile {settings.log_file} can't be written ({error.strerror}); logging to stderr")
        return logging.StreamHandler(sys.stderr)
    if _is_stdout(file):
        os.close(file)
        say(f"LogFile {settings.log_file} is stdout, which is for answers; logging to stderr")
        return logging.StreamHandler(sys.stderr)
    os.set_blocking(file, True)
    # Other stages append at the same time: a record is one write to a file in append mode.
    return _FileHandler(os.fdopen(file, "a", encoding="utf-8"))


def _is_stdout(file: int) -> bool:
    """Whether records would come between what the stage config answers, or a command prints.

    Not of devices: /dev/null is no answer, and a terminal shows stderr too.
    """
    opened, out, err = os.fstat(file), os.fstat(1), os.fstat(2)
    device = stat.S_ISCHR(opened.st_mode)
    return os.path.samestat(opened, out) and not os.path.samestat(out, err) and not device


class _FileHandler(logging.StreamHandler[Any]):
    """Closes its file, which StreamHandler leaves to others, and takes a full disk calmly."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        # In an except block. logging's own would print a traceback into the job's log.
        say(f"LogFile can't be written: {sys.exc_info()[1]}")

    def close(self) -> None:
        self.stream.close()
        super().close()


def _level(record: logging.LogRecord) -> str:
    return "fatal" if record.levelno >= logging.CRITICAL else record.levelname.lower()


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


class _Json(logging.Formatter):
    """One object per line, with the names that the Go driver's log has: time, level, msg."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__()
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": _level(record), "msg": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(
            {
                name: masking.whole(value) if isinstance(value, str) else value
                for name, value in (line | self.fields).items()
            }
        )


class _Text(logging.Formatter):
    """One line per record; in a file with the time and the job."""

    def __init__(self, fields: dict[str, Any], *, stamped: bool) -> None:
        super().__init__()
        self.fields = {name: value for name, value in fields.items() if value is not None}
        self._stamped = stamped

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        start = (
            f"{_time(record)} {_level(record)}" if self._stamped else f"fargate: {_level(record)}:"
        )
        # A record with line breaks in it could pass for another one.
        about = "".join(f" {name}={value}" for name, value in self.fields.items())
        start += about if self._stamped else ""
        line = f"{start} {text}".replace("\r", "\\r").replace("\n", "\\n")
        return masking.whole(line)
