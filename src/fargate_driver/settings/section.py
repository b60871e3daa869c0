"""What every section of fargate.toml is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Key(NamedTuple):
    """One key of the file.

    Attributes:
        name: As the documentation spells it; the file may use any letter case.
        about: Help: what it does.
        allowed: What a value may be, as the end of an error message.
        also: A second name, or None.
        default: The value where the key is absent; ... where it is required.
    """

    name: str
    about: str
    allowed: str
    also: str | None
    default: Any


def key(name: str, about: str, allowed: str, default: Any = ..., also: str | None = None) -> Any:
    """A field of a section; the arguments are those of Key."""
    return Field(
        default, alias=name, description=about, json_schema_extra={"allowed": allowed, "also": also}
    )


class Section(BaseModel):
    """Part of the file. Strict: as in the Go driver, "22" is no number and "true" no boolean."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
