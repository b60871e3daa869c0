"""Unpack layers, as tar archives, on top of each other.

Every name is looked up below the root, so nothing can be written elsewhere whatever the archive
holds. Source: https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tarfile
import zlib
from lzma import LZMAError
from typing import IO, TYPE_CHECKING

from fargate_driver.local.image_store.config import BadImageError
from fargate_driver.local.rooted import open_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WHITEOUT, _OPAQUE, _AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."
_CAPABILITY = "SCHILY.xattr.security.capability"
_ZSTD = b"\x28\xb5\x2f\xfd"
# What tarfile and the decompressors raise; bz2 and a bad header have no exceptions of their own.
_DAMAGED = (tarfile.TarError, EOFError, LZMAError, zlib.error, OSError, ValueError, OverflowError)


class Unpacker:
    """Unpacks layers into a directory.

    Root keeps owners and all modes. Of others everything becomes their own, readable to them, and
    without set-user-id and set-group-id bits: outside of a container these would let others act
    for them. Devices are left out: containers have their own.

    Args:
        root: An empty directory.
    """

    def __init__(self, root: Path) -> None:
        self.size = 0
        """Bytes of the files that were written."""
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._keep_owners = os.geteuid() == 0

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._root)

    def apply(self, layer: IO[bytes], what: str, *, whiteouts: bool = True) -> None:
        """Unpack an archive on top of what is there.

        Args:
            layer: tar, as it is or in a compression that this Python reads.
            what: Begins the text of errors.
            whiteouts: Whether names with `.wh.` remove what earlier layers brought.

        Raises:
            BadImageError: it is no such archive, or leads out of the root.
        """
        try:
            with tarfile.open(fileobj=layer, mode="r|*", errorlevel=2) as archive:
                self._apply(archive, what, whiteouts=whiteouts)
        except _DAMAGED as error:
            with contextlib.suppress(OSError):
                layer.seek(0)
                if layer.read(4) == _ZSTD:
                    raise BadImageError(
                        f"{what}: this Python reads no zstd (3.14 does): unpack it with zstd -d"
                    ) from None
            raise BadImageError(f"{what}: no tar archive, or a damaged one: {error}") from None

    def _apply(self, archive: tarfile.TarFile, what: str, *, whiteouts: bool) -> None:
        own: set[tuple[str, ...]] = set()
        for member in archive:
            shown = f"{what}: the entry {_shown(member.name)}"
            parts = _parts(member.name, shown)
            try:
                if whiteouts and parts and parts[-1].startswith(_WHITEOUT):
                    self._white_out(parts, own)
                else:
                    self._write(archive, member, parts, shown)
                    own.update(parts[:depth] for depth in range(1, len(parts) + 1))
            except OSError as error:
                raise BadImageError(f"{shown}: {error.strerror or error}") from None
            except (ValueError, OverflowError, RecursionError) as error:
                raise BadImageError(f"{shown}: {error}") from None

    def _white_out(self, parts: tuple[str, ...], own: set[tuple[str, ...]]) -> None:
        *directory, name = parts
        try:
            place = open_below(self._root, "/".join(directory), os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        with _closing(place):
            if name == _OPAQUE:
                for entry in os.listdir(place):  # noqa: PTH208 - by descriptor
                    if (*directory, entry) not in own:
                        _remove(place, entry)
            elif not name.startswith(_AUFS):
                hidden = name.removeprefix(_WHITEOUT)
                if hidden in {"", ".", ".."}:
                    raise ValueError("removes no file")
                _remove(place, hidden)

    def _write(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parts: tuple[str, ...], shown: str
    ) -> None:
        if not parts:
            if not member.isdir():
                raise ValueError("has no name")
            self._finish(self._root, member)
            return
        if member.isdev() and not member.isfifo():
            return
        *above, name = parts
        with _closing(self._directory(above)) as place:
            if member.isdir():
                self._make_directory(place, name, member)
            elif member.islnk():
                self._link(place, name, _parts(member.linkname, shown))
            elif member.issym():
                _remove(place, name)
                os.symlink(member.linkname, name, dir_fd=place)
                if self._keep_owners:
                    os.chown(name, member.uid, member.gid, dir_fd=place, follow_symlinks=False)
            elif member.isfifo():
                _remove(place, name)
                os.mkfifo(name, 0o600, dir_fd=place)
                with _closing(os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=place)) as pipe:
                    self._finish(pipe, member)
            else:
                self._write_file(place, name, archive, member)

    def _write_file(
        self, place: int, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo
    ) -> None:
        content = archive.extractfile(member)
        if content is None:
            raise ValueError(f"is of an unknown kind, {member.type!r}")
        _remove(place, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=place), "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
            self.size += file.tell()
            file.flush()
            self._finish(file.fileno(), member)
            with contextlib.suppress(OverflowError, OSError):  # a time that is none
                os.utime(file.fileno(), (member.mtime, member.mtime))

    def _make_directory(self, place: int, name: str, member: tarfile.TarInfo) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=place)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
                _remove(place, name)
                os.mkdir(name, 0o700, dir_fd=place)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        with _closing(os.open(name, flags, dir_fd=place)) as directory:
            self._finish(directory, member)

    def _link(self, place: int, name: str, target: tuple[str, ...]) -> None:
        if not target:
            raise ValueError("links to no file")
        *above, original = target
        flags = os.O_PATH | os.O_DIRECTORY
        with _closing(open_below(self._root, "/".join(above), flags)) as source:
            there = os.stat(original, dir_fd=source, follow_symlinks=False)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(there, os.stat(name, dir_fd=place, follow_symlinks=False)):
                    return
            if stat.S_ISDIR(there.st_mode):
                raise ValueError("links to a directory")
            _remove(place, name)
            os.link(original, name, src_dir_fd=source, dst_dir_fd=place, follow_symlinks=False)

    def _finish(self, file: int, member: tarfile.TarInfo) -> None:
        """Set owner, mode and file capabilities."""
        mode = stat.S_IMODE(member.mode)
        if self._keep_owners:
            os.chown(file, member.uid, member.gid)
            if _CAPABILITY in member.pax_headers:
                value = member.pax_headers[_CAPABILITY].encode("utf-8", "surrogateescape")
                with contextlib.suppress(OSError):  # not every file system keeps them
                    os.setxattr(file, "security.capability", value)
        else:
            mode = mode & 0o1777 | (0o700 if member.isdir() else 0o400)
        os.chmod(file, mode)

    def _directory(self, parts: list[str]) -> int:
        """Open a directory; what is missing of the way there is made."""
        found = len(parts)
        while True:
            try:
                flags = os.O_PATH | os.O_DIRECTORY
                place = open_below(self._root, "/".join(parts[:found]), flags)
                break
            except FileNotFoundError:
                found -= 1
        for name in parts[found:]:
            with _closing(place) as above:
                os.mkdir(name, 0o755, dir_fd=above)
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
                place = os.open(name, flags, dir_fd=above)
        return place


def _parts(name: str, shown: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise BadImageError(f"{shown} leads out of the image")
    return parts


def _remove(place: int, name: str) -> None:
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=place)
        else:
            os.unlink(name, dir_fd=place)
    except FileNotFoundError:
        pass


@contextlib.contextmanager
def _closing(file: int) -> Iterator[int]:
    try:
        yield file
    finally:
        os.close(file)


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")
