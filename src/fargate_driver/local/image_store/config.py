"""What an image says about how to run it.

Source: https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


class BadImageError(Exception):
    """Something can't be imported; the text says what, and how to mend it, in one line."""


@dataclass(frozen=True)
class ImageConfig:
    """The part of an image's configuration that ECS goes by."""

    env: tuple[str, ...] = ()
    """NAME=value each."""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    """A name or number, with a group after a colon; empty for root."""
    working_directory: str = ""
    stop_signal: str = ""
    """A name or number; empty for SIGTERM."""

    @classmethod
    def read(cls, config: Any, what: str) -> Self:
        """Read the `config` object of an image's configuration, or what `shown` gave.

        Args:
            config: The JSON.
            what: Begins the text of errors.

        Raises:
            BadImageError: it has another shape.
        """
        if not isinstance(config, dict):
            raise BadImageError(f"{what}: its config is no object")

        def words(key: str) -> tuple[str, ...]:
            value = config.get(key) or ()
            if not isinstance(value, list | tuple) or not all(isinstance(w, str) for w in value):
                raise BadImageError(f"{what}: {key} in its config is no list of strings")
            return tuple(value)

        def text(key: str) -> str:
            value = config.get(key) or ""
            if not isinstance(value, str):
                raise BadImageError(f"{what}: {key} in its config is no string")
            return value

        return cls(
            env=words("Env"),
            entrypoint=words("Entrypoint"),
            cmd=words("Cmd"),
            user=text("User"),
            working_directory=text("WorkingDir"),
            stop_signal=text("StopSignal"),
        )

    def shown(self) -> dict[str, Any]:
        """Return it as JSON, by the specification's names."""
        return {
            "Env": self.env,
            "Entrypoint": self.entrypoint,
            "Cmd": self.cmd,
            "User": self.user,
            "WorkingDir": self.working_directory,
            "StopSignal": self.stop_signal,
        }
