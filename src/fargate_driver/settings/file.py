"""Finding and reading the configuration file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from fargate_driver.errors import DriverError

# The Go driver's default, then names that can't be mistaken for gitlab-runner's own file. All but
# the last are looked for in the folder that the driver is called in.
CANDIDATES = ("config.toml", "fargate.toml", "/etc/gitlab-runner/fargate.toml")


class ConfigurationError(DriverError):
    """The configuration can't be used; one line per mistake."""


class NoConfigurationError(ConfigurationError):
    """None is named, and none is where one is looked for."""


class Document(NamedTuple):
    """A file's content as it stands there.

    Attributes:
        path: The file, as the user would name it.
        content: Its tables and keys, in the file's own spelling.
        skipped: A line for each file that was looked at and is not ours.
    """

    path: str
    content: dict[str, Any]
    skipped: list[str]


def find(explicit: str | None) -> Document:
    """Read the file that `--config` names, else the first of CANDIDATES that is there.

    Args:
        explicit: The value of --config.

    Raises:
        NoConfigurationError: None is named or found.
        ConfigurationError: It isn't there, or it can't be read, is no TOML, or belongs to
            gitlab-runner.
    """
    if explicit is not None:
        content = _read(explicit)
        if content is None:
            raise ConfigurationError(f"{explicit}: no such file; --config names it")
        if _is_the_runners(content):
            raise ConfigurationError(
                f"{explicit}: is gitlab-runner's own configuration ([[runners]]); "
                "--config needs the driver's file, with a section [Fargate]"
            )
        return Document(explicit, content, [])
    skipped: list[str] = []
    for path in CANDIDATES:
        content = _read(path)
        if content is not None and not _is_the_runners(content):
            return Document(path, content, skipped)
        if content is not None:
            skipped.append(f"{path}: is gitlab-runner's own configuration ([[runners]]); skipped")
    tried = ", ".join((*CANDIDATES[:-1], f"both in {Path.cwd()}", CANDIDATES[-1]))
    reasons = "".join(f"\n{line}" for line in skipped)
    raise NoConfigurationError(
        f"no configuration file; looked for {tried}; name one with --config{reasons}"
    )


def _is_the_runners(content: dict[str, Any]) -> bool:
    # A table: the part below [[runners]], pasted alone.
    return isinstance(content.get("runners"), list | dict)


def _read(path: str) -> dict[str, Any] | None:
    """The content of a TOML file; None where there is no such file."""
    try:
        raw = Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path}: can't be read: {reason}") from error
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}: line {line}: is not UTF-8; save it as UTF-8") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path}: is nested too deeply") from error
    except ValueError as error:  # tomllib's own, and of int() for thousands of digits
        text = " ".join(str(error).split())
        raise ConfigurationError(f"{path}: is not valid TOML: {text[:200]}") from error
