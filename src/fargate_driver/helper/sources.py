"""Where the tools image's sources are: inside the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path

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
