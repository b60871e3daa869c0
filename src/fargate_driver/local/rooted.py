"""Opening files below a directory as if it were the root: no link in it can lead out of it.

Source: openat2 of section 2 of the manual, RESOLVE_IN_ROOT; Linux 5.6 and newer.
"""

from __future__ import annotations

import ctypes
import errno
import os

_OPENAT2 = 437  # the same on every architecture
_NO_MAGIC_LINKS, _IN_ROOT = 0x02, 0x10
_TRIES = 1000

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


def open_below(root: int, path: str, flags: int) -> int:
    """Open an existing file or directory.

    Args:
        root: A descriptor of the directory.
        path: Relative to it; a leading slash changes nothing.
        flags: As of `os.open`.

    Raises:
        OSError: it can't be opened.
        ValueError: the path holds a NUL.
    """
    name = os.fsencode(path or ".")
    if b"\0" in name:
        raise ValueError("a NUL in a path")
    how = _How(flags | os.O_CLOEXEC, 0, _IN_ROOT | _NO_MAGIC_LINKS)
    number = errno.EAGAIN
    # EAGAIN: `..` could not be checked, since something was renamed somewhere on the machine.
    for _ in range(_TRIES):
        file = int(_libc.syscall(_OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how)))
        if file >= 0:
            return file
        number = ctypes.get_errno()
        if number != errno.EAGAIN:
            break
    raise OSError(number, os.strerror(number), path)


def read_below(root: int, path: str, limit: int) -> bytes:
    """Return the beginning of a regular file, at most `limit` bytes.

    Raises:
        OSError: it can't be read.
    """
    # A pipe in its place must not block.
    with os.fdopen(open_below(root, path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return file.read(limit)
