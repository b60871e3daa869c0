"""Who a container runs as, by the files of its image.

Source: the rules of https://pkg.go.dev/github.com/moby/sys/user, which Docker and containerd use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.local.rooted import read_below

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST = 4 << 20  # bytes of /etc/passwd that are read
_MOST = (1 << 31) - 1


class AccountError(Exception):
    """The image has no such user or group, in Docker's words."""


class Account(NamedTuple):
    """A user of an image."""

    uid: int
    gid: int
    groups: list[int]
    """Supplementary ones."""
    home: str


def find(root: Path, user: str) -> Account:
    """Return the user that `USER` of an image or `user` of a container definition means.

    Args:
        root: The image's root file system.
        user: A name or number, maybe with a group after a colon; empty for root.

    Raises:
        AccountError: there is none.
    """
    name, colon, group = user.partition(":")
    name = name or "0"
    account = Account(_number(name), 0, [], "/") if name.isdecimal() else None
    known = None
    for entry in _entries(root, "etc/passwd", 7):
        if name == entry[0] or (account and entry[2] == str(account.uid)):
            known = entry[0]
            account = Account(_number(entry[2]), _number(entry[3]), [], entry[5] or "/")
            break
    if account is None:
        raise AccountError(f"unable to find user {name}: no matching entries in passwd file")
    groups = _entries(root, "etc/group", 4)
    if colon and group:
        for entry in groups:
            if group in {entry[0], entry[2]}:
                return account._replace(gid=_number(entry[2]))
        if not group.isdecimal():
            raise AccountError(f"unable to find group {group}: no matching entries in group file")
        return account._replace(gid=_number(group))
    others = [_number(entry[2]) for entry in groups if known and known in entry[3].split(",")]
    return account._replace(groups=others)


def _entries(root: Path, path: str, fields: int) -> list[list[str]]:
    try:
        descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
        try:
            text = read_below(descriptor, path, _LONGEST).decode(errors="replace")
        finally:
            os.close(descriptor)
    except OSError:
        return []
    entries = [line.split(":") for line in text.splitlines()]
    return [entry for entry in entries if len(entry) >= fields and entry[2].isdecimal()]


def _number(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number > _MOST:
        raise AccountError(f"uids and gids must be in range 0-{_MOST}")
    return number
