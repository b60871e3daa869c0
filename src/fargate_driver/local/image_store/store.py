"""Where imported images are kept.

    images/NAME'S HASH.json   what the image is called, its configuration, and which content it has
    images/contents/ID/       root/, the image's file system

An image appears by the rename of its JSON file, whole or not at all. Whoever uses a content, or is
filling it, holds a lock (flock) on its directory; a content that no image has and nobody
holds is removed by the next import, whatever became of the one that made it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.directory import remove_tree
from fargate_driver.local.image_store.config import BadImageError, ImageConfig
from fargate_driver.local.image_store.names import BadNameError, canonical
from fargate_driver.local.image_store.reading import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTENTS = "contents"


@dataclass(frozen=True)
class StoredImage:
    """An image in a store."""

    name: str
    """Canonical."""
    config: ImageConfig
    content: str
    size: int
    """Bytes of its files."""
    imported: float
    """Seconds since the epoch."""


class HeldImage:
    """An image whose files stay for as long as this is not closed, whatever is imported meanwhile.

    Args:
        image: What is known of it.
        root: Its root file system.
        lock: A descriptor that keeps it.
    """

    def __init__(self, image: StoredImage, root: Path, lock: int) -> None:
        self.image = image
        self.root = root
        self._lock = lock

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)


def users_store() -> Path:
    """Return the directory of the user's own store, which may not exist."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "fargate" / "images"


def stores_of(directory: Path) -> list[Store]:
    """Where an embedded Fargate looks for images, in this order.

    Args:
        directory: What `fargate local up` has as --dir.
    """
    return [Store(directory / "images"), Store(users_store())]


class Store:
    """A directory of images.

    Args:
        directory: It is made, for this user only, by the first import.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def images(self) -> list[StoredImage]:
        """Return all images, by name."""
        if not self._directory.exists():
            return []
        with self._lock_all():
            return self._images()

    def hold(self, name: str) -> HeldImage | None:
        """Return an image, or None if it isn't here.

        Args:
            name: Canonical.
        """
        # An import may replace it between the two looks.
        while image := self._read(self._file(name)):
            place = self._directory / _CONTENTS / image.content
            with suppress(FileNotFoundError):
                lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(lock, fcntl.LOCK_SH)
                if (place / "root").is_dir():
                    return HeldImage(image, place / "root", lock)
                os.close(lock)
            if self._read(self._file(name)) == image:
                return None  # somebody removed its content by hand
        return None

    def add(self, name: str, path: Path) -> StoredImage:
        """Import an image; one of the same name is replaced.

        Args:
            name: Any form of its name.
            path: A root file system or an OCI layout as a folder, or a tar archive of
                either, or of what `docker save` and `podman save` write.

        Raises:
            BadImageError: name or path is no good, or the store can't be written to.
        """
        try:
            name = canonical(name)
        except BadNameError as error:
            raise BadImageError(str(error)) from None
        try:
            with self._new_content() as place:
                root = place / "root"
                root.mkdir(mode=0o755)
                config, size = fill(root, name, path, self._directory)
                image = StoredImage(name, config, place.name, size, round(time.time()))
                with self._lock_all():
                    self._write(image)
            self._remove_unused()
        except OSError as error:
            shown = error.filename or self._directory
            raise BadImageError(f"{shown}: {error.strerror or error}") from None
        return image

    @contextmanager
    def _new_content(self) -> Iterator[Path]:
        """Make a directory for a content; it is removed if the context ends by an exception."""
        place = self._directory / _CONTENTS / uuid.uuid4().hex
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Files in it may be set-user-id root's: nobody else may get at them.
        self._directory.mkdir(mode=0o700, exist_ok=True)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with self._lock_all():
            place.mkdir(mode=0o700)
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield place
        except BaseException:
            remove_tree(place)
            raise
        finally:
            os.close(lock)

    def _images(self) -> list[StoredImage]:
        # Under the lock: a listing may miss a file that is being replaced.
        found = [self._read(file) for file in self._directory.glob("*.json")]
        return sorted((image for image in found if image), key=lambda image: image.name)

    @contextmanager
    def _lock_all(self) -> Iterator[None]:
        lock = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _remove_unused(self) -> None:
        with self._lock_all():
            used = {image.content for image in self._images()}
            for place in (self._directory / _CONTENTS).iterdir():
                if place.name in used:
                    continue
                lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                else:
                    remove_tree(place)
                finally:
                    os.close(lock)

    def _file(self, name: str) -> Path:
        return self._directory / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def _write(self, image: StoredImage) -> None:
        file = self._file(image.name)
        draft = self._directory / _CONTENTS / image.content / "image.json"
        shown = {
            "name": image.name,
            "config": image.config.shown(),
            "content": image.content,
            "size": image.size,
            "imported": image.imported,
        }
        draft.write_text(json.dumps(shown))
        draft.replace(file)

    def _read(self, file: Path) -> StoredImage | None:
        try:
            shown = json.loads(file.read_text())
            return StoredImage(
                name=shown["name"],
                config=ImageConfig.read(shown["config"], str(file)),
                content=shown["content"],
                size=shown["size"],
                imported=shown["imported"],
            )
        except FileNotFoundError:
            return None
