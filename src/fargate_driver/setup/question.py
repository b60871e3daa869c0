"""A question of `fargate init`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Answers = Mapping[str, Any]


class NeededError(ValueError):
    """There is no answer, and nobody to ask."""


@dataclass(frozen=True)
class Question:
    """One of them.

    Attributes:
        key: The answer's name in Plan; the flag is the same with dashes.
        text: What is asked, and the flag's help.
        check: Makes a value of the text; ValueError says what is wrong with it.
        default: The answer where there is no other, from the answers before; None: there is none.
        when: Whether it matters, by the answers before.
        optional: Whether it may be left empty.
        absent: The value where it doesn't matter or is left empty.
        asked: Whether it is asked at all, or only taken as a flag.
    """

    key: str
    text: str
    check: Callable[[str], Any]
    default: Callable[[Answers], str | None] = lambda _: None
    when: Callable[[Answers], bool] = lambda _: True
    optional: bool = False
    absent: Any = None
    asked: bool = True

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return "--" + self.key.replace("_", "-")

    def suggestion(self, answers: Answers) -> str | None:
        """What is taken where nothing is answered; None where something has to be."""
        return "" if self.optional else self.default(answers)

    def read(self, text: str) -> Any:
        """Make the value of a text; ValueError says what is wrong with it."""
        return self.absent if self.optional and not text else self.check(text)
