"""The directory that one embedded Fargate keeps its files in, and nobody else at the same time."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG_NAME = "fargate.toml"
IMAGES_CONFIG_NAME = "images.toml"
MARK = "Written by `fargate local up`"
"""How the comment in the first line of both begins; others are somebody else's."""
_CONTENTS = "fargate-local"  # a name that is nobody's by chance: all below it is removed
_STALE_RETRIES = 20  # of 0.1 s: processes of a Fargate that was killed may still be ending


class DirectoryError(Exception):
    """The directory can't be used; the text says why, in one line."""


class Directory:
    """Where the files of one embedded Fargate are.

    Args:
        path: The directory given by the user, absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG_NAME
        self.images_config = path / IMAGES_CONFIG_NAME
        self.contents = path / _CONTENTS
        self.tasks = self.contents / "tasks"
        self.records = self.contents / "jobs"
        self.builds = self.contents / "builds"
        self.cache = self.contents / "cache"


@contextmanager
def occupy(path: Path) -> Iterator[Directory]:
    """Take a directory for as long as the context lasts; at its end the configuration stays.

    What an embedded Fargate left there that was killed is removed first.

    Args:
        path: The directory; made, for this user only, where it is absent.

    Raises:
        DirectoryError: it isn't usable, or another embedded Fargate uses it.
    """
    try:
        directory = Directory(path.resolve())
        str(directory.path).encode()  # fargate.toml holds it, and TOML is UTF-8
    except (RuntimeError, UnicodeEncodeError):
        shown = str(path).encode(errors="backslashreplace").decode()
        raise DirectoryError(
            f"--dir {shown}: a loop of links, or not UTF-8: choose another one"
        ) from None
    try:
        directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DirectoryError(f"--dir {path}: {error.strerror}: choose another one") from None
    try:
        try:
            # On the directory itself: the kernel frees it when this process dies; no file is left.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DirectoryError(
                f"--dir {path}: another `fargate local up` uses it: stop that one or choose another"
            ) from None
        _make(directory)
        try:
            yield directory
        finally:
            _remove_contents(directory)
    finally:
        os.close(handle)


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, read-only directories of a job included; absent is fine."""
    if not path.exists():
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        # An ordinary user's job may have closed directories, as Go does with its module cache.
        for folder, names, _ in os.walk(path):
            for name in names:
                below = Path(folder, name)
                if not below.is_symlink():
                    below.chmod(0o700)
        shutil.rmtree(path)


def _make(directory: Directory) -> None:
    for config in (directory.config, directory.images_config):
        try:
            foreign = not config.read_bytes().startswith(f"# {MARK}".encode())
        except FileNotFoundError:
            foreign = False
        except OSError as error:
            raise DirectoryError(f"{config}: {error.strerror}") from None
        if foreign:
            raise DirectoryError(
                f"{config} is not one that `fargate local up` wrote: choose another --dir"
            )
    _remove_contents(directory)
    try:
        for made in (directory.contents, directory.tasks, directory.records):
            made.mkdir(mode=0o700)
    except OSError as error:
        raise DirectoryError(f"{error.filename}: {error.strerror}: choose another --dir") from None


def _remove_contents(directory: Directory) -> None:
    for attempt in range(_STALE_RETRIES):
        try:
            remove_tree(directory.contents)
        except OSError as error:
            if attempt == _STALE_RETRIES - 1:
                raise DirectoryError(
                    f"{error.filename or directory.contents}: {error.strerror}: remove it by hand"
                ) from None
            time.sleep(0.1)
        else:
            return
