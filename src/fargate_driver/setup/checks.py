"""What answers may look like: each check raises ValueError with what is wrong and what is allowed.

Answers end up in TOML, JSON, YAML, HCL and shell scripts. So they hold no character that means
something in any of these; no quoting is needed there, and none can be wrong.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from fargate_driver.settings import image_values, values
from fargate_driver.setup.partition import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = "/[A-Za-z0-9_.+@-][A-Za-z0-9_.+@/-]{0,200}"
_ROLE = values.ARN.format(service="iam", region="", resource=r"role/[\w+=,.@/-]{1,512}")
_SECRET = values.ARN.format(
    service="secretsmanager", region="[a-z0-9-]+", resource="secret:[A-Za-z0-9/_+=.@-]{1,519}"
)
_URL = r"https?://[A-Za-z0-9.:\[\]-]{1,253}(/[A-Za-z0-9_.~/-]{0,200})?"


def _matching(pattern: str, allowed: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{values.shown(text)} is not allowed; allowed: {allowed}")
        return text

    return check


def _list_of(pattern: str, most: int, allowed: str) -> Callable[[str], tuple[str, ...]]:
    read = values.list_of(pattern, most)

    def check(text: str) -> tuple[str, ...]:
        try:
            return read(re.split(r"[,\s]+", text.strip()))
        except ValueError as error:
            raise ValueError(f"{error}; allowed: {allowed}") from None

    return check


account = _matching("[0-9]{12}", "the 12 digits of an AWS account")
vpc = _matching("vpc-[A-Za-z0-9-]{1,64}", "a VPC's id (vpc-…)")
subnets = _list_of(values.SUBNET, 16, "up to 16 subnet ids (subnet-…), with commas between")
security_groups = _list_of(
    values.SECURITY_GROUP, 5, "up to 5 security group ids (sg-…), with commas between"
)
# 64 characters for the names of roles (API_CreateRole), of which Region and "execution" take 26.
cluster = _matching(
    "[A-Za-z][A-Za-z0-9_-]{0,37}", "up to 38 letters, digits, - and _, a letter first"
)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
log_group = _matching("[A-Za-z0-9_./#-]{1,512}", "a log group's name, of letters, digits and _./#-")
package = _matching(
    r"(git\+)?https://[A-Za-z0-9.:-]{1,253}/[A-Za-z0-9_.~/+@=#-]{1,400}"
    r"|[A-Za-z0-9][A-Za-z0-9_.-]{0,100}==[A-Za-z0-9.+!-]{1,50}",
    "what pip installs it from: an https:// address of a wheel, git+https:// of a repository, or"
    " NAME==VERSION where an index has it",
)
family = _matching(
    "[A-Za-z0-9_][A-Za-z0-9_-]{0,254}", "the family of a task definition, no revision"
)
role = _matching(_ROLE, "a role's ARN like arn:aws:iam::123456789012:role/ci")
secret = _matching(
    _SECRET,
    "a secret's ARN like arn:aws:secretsmanager:eu-central-1:123456789012:secret:NAME-AbCdEf",
)
url = _matching(_URL, "an http:// or https:// address without user name, query and fragment")
name = _matching("[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}", "up to 64 letters, digits, spaces and _.-")
path = _matching(_PATH, "an absolute path of letters, digits and _.+@/-")
version = _matching(r"[0-9]{1,3}(\.[0-9]{1,3}){2}", "a version like 19.4.0")
user = _matching(values.USER, "a user's name")


def region(text: str) -> str:
    """A Region that belongs to a partition of AWS."""
    try:
        partition_of(text)
    except ValueError:
        raise ValueError(
            f"{values.shown(text)} is not allowed; allowed: a Region like eu-central-1"
        ) from None
    return text


def image(text: str) -> str:
    """An image's name."""
    return image_values.image(text)


def network(text: str) -> str:
    """An IPv4 network, or a single address."""
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError:
        raise ValueError(
            f"{values.shown(text)} is not allowed; allowed: an IPv4 network like 192.0.2.7/32"
        ) from None


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number between these."""

    def check(text: str) -> int:
        if not (re.fullmatch("[0-9]{1,6}", text, re.ASCII) and least <= int(text) <= most):
            raise ValueError(
                f"{values.shown(text)} is not allowed;"
                f" allowed: a whole number from {least} to {most}"
            )
        return int(text)

    return check


def tags(text: str) -> dict[str, str]:
    """`KEY=VALUE`, with commas between; ECS allows no comma in either."""
    found: dict[str, str] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"{values.shown(item)} is not KEY=VALUE")
        if key in found:
            raise ValueError(f"{values.shown(key)} is in it twice")
        found[key] = value
    return values.tags(found)


def yes_or_no(text: str) -> bool:
    """`yes` or `no`."""
    if text.lower() in ("y", "yes"):
        return True
    if text.lower() in ("n", "no"):
        return False
    raise ValueError(f"{values.shown(text)} is not allowed; allowed: yes or no")


def one_of(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def check(text: str) -> str:
        if text not in words:
            raise ValueError(
                f"{values.shown(text)} is not allowed; allowed: {', '.join(words[:-1])}"
                f" or {words[-1]}"
            )
        return text

    return check
