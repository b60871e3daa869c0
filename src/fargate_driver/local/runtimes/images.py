"""From the name of an image to what a container of it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.helper import ToolsError, tools_directory
from fargate_driver.local.image_store.config import ImageConfig
from fargate_driver.local.image_store.names import BadNameError, canonical
from fargate_driver.local.images import HELPER_IMAGE, HOST_IMAGE
from fargate_driver.local.runtimes.base import ImageNotFoundError, RuntimeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fargate_driver.local.image_store.store import HeldImage, Store


class Image(NamedTuple):
    """An image that is used."""

    config: ImageConfig
    stored: HeldImage | None = None
    """None for a built-in image, whose root file system is the host's."""
    tools: Path | None = None
    """What a tools image has at /opt/fargate; None for others."""

    def close(self) -> None:
        """Let go of its files."""
        if self.stored:
            self.stored.close()


def find(name: str, stores: Sequence[Store]) -> Image:
    """Return an image, whose files stay until it is closed.

    Args:
        name: As a task definition has it.
        stores: Where to look, in this order.

    Raises:
        ImageNotFoundError: there is none of this name.
        RuntimeUnavailableError: the tools can't be built.
    """
    try:
        full = canonical(name)
    except BadNameError as error:
        raise ImageNotFoundError(name, str(error)) from None
    if full == canonical(HOST_IMAGE):
        return Image(ImageConfig())
    if full == canonical(HELPER_IMAGE):
        try:
            return Image(ImageConfig(), tools=tools_directory())
        except ToolsError as error:
            raise RuntimeUnavailableError(str(error)) from None
    for store in stores:
        held = store.hold(full)
        if held:
            return Image(held.image.config, held)
    raise ImageNotFoundError(name, "not known here: fargate local image import")
