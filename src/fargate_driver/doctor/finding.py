"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands with what was checked."""

    OK = "ok"
    WRONG = "wrong"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        check: What was checked; a name that stays, for programs.
        status: How it stands.
        found: What was seen; of what is unchecked, why.
        mend: How to mend what is wrong; "" otherwise.
    """

    check: str
    status: Status
    found: str
    mend: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, found)


def wrong(check: str, found: str, mend: str) -> Finding:
    """Something has to be mended."""
    return Finding(check, Status.WRONG, found, mend)


def unchecked(check: str, why: str) -> Finding:
    """Nothing can be said."""
    return Finding(check, Status.UNCHECKED, why)
