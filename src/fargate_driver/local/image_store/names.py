"""Names of images as Docker reads them: `python:3.13` is `docker.io/library/python:3.13`.

Source: the grammar of https://pkg.go.dev/github.com/distribution/reference
"""

from __future__ import annotations

import re

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_LONGEST = 255  # characters of a name without tag and digest


class BadNameError(ValueError):
    """Not the name of an image; the text says why, in one line."""


def canonical(name: str) -> str:
    """Return the one full form of an image's name: registry/path:tag, or registry/path@digest.

    A tag beside a digest says nothing, and is left out.

    Raises:
        BadNameError: it is none.
    """
    rest, at, digest = name.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _bad(name, "what follows the @ is no digest such as sha256:…")
    tag = "latest"
    # A colon before the last slash belongs to a registry's port.
    if ":" in rest.rpartition("/")[2]:
        rest, _, tag = rest.rpartition(":")
        if not _TAG.fullmatch(tag):
            raise _bad(name, "a tag has letters, digits, '_', '.' and '-', 128 at most")
    domain, slash, path = rest.partition("/")
    if not slash or not (
        "." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()
    ):
        domain, path = "docker.io", rest
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    if not _DOMAIN.fullmatch(domain):
        raise _bad(name, f"{_shown(domain)} is no registry")
    if not _PATH.fullmatch(path):
        raise _bad(name, "a name has lower-case letters and digits, with '.', '_', '-' between")
    if len(domain) + 1 + len(path) > _LONGEST:
        raise _bad(name, f"a name has {_LONGEST} characters at most")
    return f"{domain}/{path}@{digest}" if at else f"{domain}/{path}:{tag}"


def _bad(name: str, why: str) -> BadNameError:
    return BadNameError(f"{_shown(name)} is no name of an image: {why}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
