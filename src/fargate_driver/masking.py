"""What the driver's own texts must not show: secrets that it knows become `[MASKED]`.

gitlab/variables.py tells the job's masked values, ecs/credentials.py those of AWS; console.py and
log.py ask before they write, ecs/words.py before it cuts, and messages about what a job asks for
are made with `parts`.

On the path of every run stage: it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole module
if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "[MASKED]"
SHORTEST = 8
"""Characters from which a value is hidden, as GitLab has it for masked variables
(https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable). Shorter ones are in every text."""

_known: set[str] = set()
_forms: dict[str, set[str]] = {}
"""How a secret may be written: a job may have thousands, and each text is looked through."""


def learn(*values: str | None) -> None:
    """Hide these from now on.

    Args:
        values: secrets; of one with several lines each is one.
    """
    for value in values:
        _known.update(line for line in (value or "").splitlines() if len(line) >= SHORTEST)


def whole(text: str) -> str:
    """A text without the known secrets, be they written plainly or quoted.

    Args:
        text: any.
    """
    return _without(text, _found(text)) if _known else text


def parts(text: str) -> str:
    """A text without the known secrets and without all parts of them that are no accident.

    For what somebody chose, before it is cut, split or filled in.

    Args:
        text: any.
    """
    if not _known:
        return text
    pieces = {known[at : at + SHORTEST] for known in _known for at in range(len(known))}
    places = range(len(text) - SHORTEST + 1)
    spans = ((at, at + SHORTEST) for at in places if text[at : at + SHORTEST] in pieces)
    return _without(text, spans)


def _found(text: str) -> Iterator[tuple[int, int]]:
    for known in _known:
        if known not in _forms:
            _forms[known] = {known, *_quoted(known)}
        for form in _forms[known]:
            at = text.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + 1)


def _quoted(text: str) -> Iterator[str]:
    """As Python, JSON and TOML write it between quotation marks."""
    import json  # noqa: PLC0415 - only where there is something to hide

    yield repr(text)[1:-1]
    yield repr(f"{text}'\"")[1:-4]  # in a text that has both marks
    yield text.replace("\\", "\\\\")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def _without(text: str, spans: Iterator[tuple[int, int]]) -> str:
    done, kept = 0, ""
    for start, end in sorted(spans):
        if start > done or (start == 0 and not kept):
            kept += text[done:start] + MASK
        done = max(done, end)
    return kept + text[done:]
