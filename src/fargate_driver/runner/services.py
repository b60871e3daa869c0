"""Services of a job, as people write them on a command line."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS = ("name", "alias", "entrypoint", "command", "variables")


class BadServiceError(Exception):
    """A text is no service; the message is one line."""


def parse(text: str) -> dict[str, Any]:
    """Read a service: `NAME[,alias=A][,entrypoint=E][,command=C][,variable=K=V]…`, or JSON.

    Words of `entrypoint` and `command` are as in a shell; `alias` and `variable` may come more than
    once. As a JSON object it is what `services:` in .gitlab-ci.yml has, for values with a comma:
    https://docs.gitlab.com/ci/services/#available-settings-for-services

    Args:
        text: As it stands on the command line.

    Returns:
        The service as the job response has it.

    Raises:
        BadServiceError: It is none.
    """
    given = _json(text) if text.lstrip().startswith("{") else _short(text)
    unknown = sorted(given.keys() - set(_KEYS))
    if unknown:
        raise BadServiceError(f"{unknown[0]!r:.60} is not one of {', '.join(_KEYS)}")
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise BadServiceError("the name of its image is missing")
    alias = given.get("alias") or ""
    if not isinstance(alias, str):
        raise BadServiceError("alias has to be a text, with spaces between several")
    service: dict[str, Any] = {"name": name, "alias": alias}
    for key in ("entrypoint", "command"):
        if key in given:
            service[key] = _words(key, given[key])
    variables = given.get("variables") or {}
    if not isinstance(variables, dict):
        raise BadServiceError('variables have to be an object such as {"NAME": "VALUE"}')
    service["variables"] = [_variable(key, value) for key, value in variables.items()]
    for one in _texts(service):
        _check(one)
    return service


def _texts(value: object) -> Iterator[str]:
    """All texts in it: JSON can write what no job response holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _check(text: str) -> None:
    if "\0" in text:
        raise BadServiceError("a service can't hold a NUL byte")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadServiceError(f"not UTF-8: {text!r:.60}") from None


def _json(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadServiceError(f"is no JSON: {' '.join(str(error).split())[:100]}") from None
    assert isinstance(given, dict)  # noqa: S101 - it begins with a brace
    return given


def _short(text: str) -> dict[str, Any]:
    name, *options = text.split(",")
    given: dict[str, Any] = {"name": name}
    aliases = []
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or key not in ("alias", "entrypoint", "command", "variable"):
            raise BadServiceError(
                f"after a comma alias=, entrypoint=, command= or variable= is expected, not"
                f" {option!r:.60}; values with a comma need the JSON form"
            )
        if key == "alias":
            aliases.append(value)
        elif key == "variable":
            variable, equals, content = value.partition("=")
            if not equals:
                raise BadServiceError(
                    f"variable={variable[:40]}: expected NAME=VALUE, found no second '='"
                )
            given.setdefault("variables", {})[variable] = content
        elif key in given:
            raise BadServiceError(f"{key}= is given twice")
        else:
            given[key] = value
    return given | {"alias": " ".join(aliases)}


def _words(key: str, value: object) -> list[str]:
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise BadServiceError(f"{key}: {error}") from None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return list(value)
    raise BadServiceError(f"{key} has to be a text or a list of texts")


def _variable(key: str, value: object) -> dict[str, Any]:
    if not _VARIABLE.fullmatch(key):
        raise BadServiceError(
            f"{key[:40]!r} is no variable name: letters, digits and _ are allowed, no digit at the"
            " start"
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadServiceError(f"the value of {key} has to be a text or a number")
    return {"key": key, "value": str(value), "public": True}
