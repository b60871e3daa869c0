"""Where the tools image's sources are: inside the installed package, or in the checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_PACKAGED = Path(__file__).parent / "image"
_CHECKOUT = Path(__file__).parents[3] / "images" / "helper"


class ToolsError(Exception):
    """The tools can't be had; the text is one line for a human being."""


def source_directory() -> Path:
    """The directory that holds the Dockerfile of the tools image, and `build`.

    Raises:
        ToolsError: This installation lacks it.
    """
    for place in (_PACKAGED, _CHECKOUT):
        if (place / "build").is_file():
            return place
    raise ToolsError(
        f"the sources of the tools image are missing: {_PACKAGED} does not exist. Install the"
        " driver again, from its wheel or a checkout"
    )


def digest(directory: Path, *, without: Collection[str]) -> str:
    """What tells one version of the sources from another, in hexadecimal.

    Args:
        directory: As `source_directory` returns it.
        without: Names of files that don't matter.
    """
    found = hashlib.sha256()
    for file in sorted(directory.iterdir()):
        if file.name not in without and file.is_file():
            found.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return found.hexdigest()


def image_tag(runner_version: str) -> str:
    """A tag for the tools image, another for other contents.

    Args:
        runner_version: The version of gitlab-runner whose helper is in it.

    Raises:
        ToolsError: the sources are missing.
    """
    return f"{digest(source_directory(), without=('README.md',))[:12]}-{runner_version}"
