"""The commands of a shell script, as far as documentation writes them."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^\s*\2$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ENDS = set("\n;|&(){}")
_KEYWORDS = {"do", "then", "else", "!", "if", "while", "until", "exec", "time"}
_SUDO_VALUES = {"-u", "-g"}


def commands(script: str) -> Iterator[list[str]]:
    """The words of each simple command: without assignments, redirections, keywords and sudo."""
    script = _HEREDOC.sub(r"\3", script)
    script = re.sub(r"(^|\s)#[^\n]*", r"\1", script).replace("\\\n", " ")
    lexer = shlex.shlex(script, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    words: list[str] = []
    skip = False
    for token in lexer:
        if skip:
            skip = False
        elif token and set(token) <= set("<>&") and set(token) & set("<>"):
            skip = True
        elif token and set(token) <= _ENDS | {"\r"}:
            yield from _plain(words)
            words = []
        else:
            words.append(token)
    yield from _plain(words)


def _plain(words: list[str]) -> Iterator[list[str]]:
    while words and (words[0] in _KEYWORDS or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    if words[:1] == ["sudo"]:
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[2 if words[0] in _SUDO_VALUES else 1 :]
    if words and words != ["$"]:
        yield words
