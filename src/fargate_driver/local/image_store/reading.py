"""From whatever an image comes in to its root file system."""

from __future__ import annotations

import os
import tarfile
from threading import Thread
from typing import IO, TYPE_CHECKING

from fargate_driver.local.directory import remove_tree
from fargate_driver.local.image_store.archives import Archive
from fargate_driver.local.image_store.config import BadImageError, ImageConfig
from fargate_driver.local.image_store.unpack import Unpacker

if TYPE_CHECKING:
    from pathlib import Path


def fill(root: Path, name: str, path: Path, store: Path) -> tuple[ImageConfig, int]:
    """Put an image's files into a directory; return its configuration and the bytes of its files.

    Args:
        root: An empty directory.
        name: The image's canonical name.
        path: What is imported, see `Store.add`.
        store: The directory that images are stored in.

    Raises:
        BadImageError: it is no image, damaged or not for this machine.
        OSError: something can't be read or written.
    """
    what = str(path)
    if not path.is_dir():
        with path.open("rb") as file:
            size = _unpack(root, file, what)
        archive = Archive(root, what)
        try:
            if not archive.read(name):
                return ImageConfig(), size
        finally:
            archive.close()
        path = root.rename(root.with_name("archive"))
        root.mkdir(mode=0o755)
    archive = Archive(path, what)
    try:
        image = archive.read(name)
        if image is None:
            if store.resolve().is_relative_to(path.resolve()):
                raise BadImageError(f"{path} holds the image store itself: import a copy of it")
            return ImageConfig(), _copy(root, path)
        unpacker = Unpacker(root)
        try:
            for layer in image.layers:
                with archive.open(layer) as file:
                    unpacker.apply(file, f"{what}: {layer.path}")
        finally:
            unpacker.close()
    finally:
        archive.close()
    if path.parent == root.parent:
        remove_tree(path)
    return image.config, unpacker.size


def _unpack(root: Path, file: IO[bytes], what: str) -> int:
    unpacker = Unpacker(root)
    try:
        unpacker.apply(file, what, whiteouts=False)
    finally:
        unpacker.close()
    return unpacker.size


def _copy(root: Path, folder: Path) -> int:
    """Copy a folder through an archive, which keeps links, owners and modes."""
    problems: list[OSError] = []
    reader, writer = os.pipe()

    def pack() -> None:
        try:
            with (
                os.fdopen(writer, "wb") as file,
                tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            ):
                archive.add(folder, arcname=".")
        except OSError as error:
            problems.append(error)

    thread = Thread(target=pack)
    thread.start()
    try:
        with os.fdopen(reader, "rb") as file:
            return _unpack(root, file, str(folder))
    except BadImageError:
        # What kept the archive from being whole says more.
        thread.join()
        if problems and not isinstance(problems[0], BrokenPipeError):
            raise problems[0] from None
        raise
    finally:
        thread.join()
