"""What a configuration value may look like: each check raises ValueError with what is wrong.

The patterns are ECS's and EC2's; they also keep out what could become an option of another program
(a leading `-`) and control characters.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator

from fargate_driver import masking

if TYPE_CHECKING:
    from collections.abc import Callable

# Amazon Resource Names of all partitions: aws, aws-cn, aws-us-gov and the isolated ones.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
ARN = r"arn:aws[a-z-]*:{service}:{region}:[0-9]{{12}}:{resource}"
_NAME = "[A-Za-z0-9_-]{1,255}"

CLUSTER = "[A-Za-z0-9_][A-Za-z0-9_-]{0,254}|" + ARN.format(
    service="ecs", region="[a-z0-9-]+", resource=f"cluster/{_NAME}"
)
REGION = "[a-z][a-z0-9-]{1,62}"
SUBNET = "subnet-[A-Za-z0-9-]{1,64}"
SECURITY_GROUP = "sg-[A-Za-z0-9-]{1,64}"
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: taskDefinition.
TASK_DEFINITION = "[A-Za-z0-9_][A-Za-z0-9_-]{0,254}(:[1-9][0-9]{0,9})?|" + ARN.format(
    service="ecs", region="[a-z0-9-]+", resource=f"task-definition/{_NAME}(:[1-9][0-9]{{0,9}})?"
)
PLATFORM_VERSION = "LATEST|[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}"
PROVIDER = "[A-Za-z0-9_][A-Za-z0-9_-]{0,254}"
CONTAINER = "[A-Za-z0-9_][A-Za-z0-9_-]{0,254}"
ROLE = ARN.format(service="iam", region="", resource="role/[!-~]{1,512}")
MANAGER = "[A-Za-z0-9-]{1,64}"
USER = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
TAG_TEXT = re.compile(r"[\w .:/=+@-]*")

LEVELS = ("debug", "info", "warning", "error", "fatal", "panic")
FORMATS = ("text", "json")
PORTS = 65535


def shown(value: object) -> str:
    """A value for a message: quoted, on one line, bounded, and without the job's secrets."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # Thousands of digits can't even be turned into text (sys.set_int_max_str_digits).
        return str(value) if value.bit_length() < 128 else "a number of that size"
    if not isinstance(value, str):
        return str(value)
    text = masking.parts(value)
    return repr(text[:50]) + ("…" if len(text) > 50 else "")


def kind(value: object) -> str:
    """What TOML calls a value like this."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    names = {bool: "a boolean", int: "a whole number", float: "a number", str: "a string"}
    name = names.get(type(value), "a date or time")
    return name if name == "a date or time" else f"{name} ({shown(value)})"


def matching(pattern: str) -> AfterValidator:
    """Only strings that match as a whole."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{shown(value)} is not allowed")
        return value

    return AfterValidator(check)


def list_of(pattern: str, most: int) -> Callable[[Any], tuple[str, ...]]:
    """A string or a list of strings that match, at most so many and none of them twice."""
    compiled = re.compile(pattern)

    def check(value: Any) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError(f"is {kind(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
        if not items:
            raise ValueError("is an empty list")
        for item in items:
            if not isinstance(item, str):
                raise ValueError(f"has {kind(item)} in it")  # noqa: TRY004 - see above
            if not compiled.fullmatch(item):
                raise ValueError(f"{shown(item)} is not allowed")
            if items.count(item) > 1:
                raise ValueError(f"{shown(item)} is in it twice")
        if len(items) > most:
            raise ValueError(f"has {len(items)} of them")
        return tuple(items)

    return check


def printable(value: str) -> str:
    """No control characters, no lone surrogates."""
    if not value.isprintable():
        raise ValueError(f"{shown(value)} holds control characters")
    return value


def absolute(value: str) -> str:
    """The path of a folder in the job's container, without slashes to spare."""
    if not printable(value).startswith("/"):
        raise ValueError(f"{shown(value)} is not absolute")
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise ValueError(f"{shown(value)} is not allowed")
    return "/" + "/".join(parts)


def path(value: Any) -> Path:
    """A path on the runner's host, made absolute."""
    if not isinstance(value, str):
        raise ValueError(f"is {kind(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    return Path(printable(value)).absolute()


def metrics_file(value: Any) -> Path:
    """A file that node_exporter's textfile collector reads, made absolute."""
    found = path(value)
    if found.suffix != ".prom":
        raise ValueError(f"{shown(value)} is not allowed")
    return found


def level(value: str) -> str:
    """One of LEVELS in any letter case, or another name that the Go driver's log has for one."""
    lower = value.lower()
    lower = {"warn": "warning", "trace": "debug"}.get(lower, lower)
    if lower not in LEVELS:
        raise ValueError(f"{shown(value)} is no level")
    return lower


def log_format(value: str) -> str:
    """One of FORMATS in any letter case."""
    if value.lower() not in FORMATS:
        raise ValueError(f"{shown(value)} is no format")
    return value.lower()


def port(value: int) -> int:
    """A TCP port; the Go driver takes anything below 1 as 22."""
    if value > PORTS:
        raise ValueError(f"{shown(value)} is too large")
    return max(value, 0) or 22


def seconds(value: float) -> float:
    """A time limit of one second to one day."""
    if not 1 <= value <= 86400:
        raise ValueError(f"{value:g} is out of range")
    return value


def lifetime(value: int) -> int:
    """A time limit of one second to thirty days."""
    if not 1 <= value <= 30 * 86400:
        raise ValueError(f"{shown(value)} is out of range")
    return value


def weight(value: int) -> int:
    """A weight that lets a capacity provider be used at all (API_CapacityProviderStrategyItem)."""
    if not 1 <= value <= 1000:
        raise ValueError(f"{shown(value)} is out of range")
    return value


def base(value: int) -> int:
    """A base as API_CapacityProviderStrategyItem has it."""
    if not 0 <= value <= 100_000:
        raise ValueError(f"{shown(value)} is out of range")
    return value


def url(value: str) -> str:
    """The address of an AWS-compatible endpoint."""
    try:
        parts = urlsplit(printable(value))
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError(f"{shown(value)} is not a URL") from error
    if not usable or " " in value or parts.query or parts.fragment:
        raise ValueError(f"{shown(value)} is not allowed")
    if "@" in parts.netloc:
        # Not shown: what stands before the @ would be a password.
        raise ValueError("holds a user name or password")
    return value


def propagate_tags(value: Any) -> bool:
    """What RunTask's propagateTags takes, and booleans."""
    if isinstance(value, str) and value.upper() in ("TASK_DEFINITION", "NONE"):
        return value.upper() == "TASK_DEFINITION"
    if not isinstance(value, bool):
        raise ValueError(f"is {kind(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def tags(value: Any) -> dict[str, str]:
    """Up to 50 tags of ECS's characters and lengths."""
    if not isinstance(value, dict):
        raise ValueError(f"is {kind(value)}")  # noqa: TRY004 - pydantic collects ValueErrors
    if len(value) > 50:
        raise ValueError(f"has {len(value)} tags")
    for name, text in value.items():
        if not isinstance(text, str):
            raise ValueError(f"{shown(name)} is {kind(text)}")  # noqa: TRY004 - see above
        if name.lower().startswith("aws:"):
            raise ValueError(f"{shown(name)} starts with aws:, which AWS keeps for itself")
        if not (1 <= len(name) <= 128 and TAG_TEXT.fullmatch(name)):
            raise ValueError(f"{shown(name)} is not a tag's name")
        if not (len(text) <= 256 and TAG_TEXT.fullmatch(text)):
            raise ValueError(f"the value of {shown(name)} is not allowed")
    return value
