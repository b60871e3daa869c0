"""A client of OpenSSH's multiplexing protocol, version 4 (PROTOCOL.mux in OpenSSH's source).

The master does the driving: it is given file descriptors for a session's standard streams and
connects them to the remote command. This end only opens sessions and hears how they end.
"""

from __future__ import annotations

# The C part of `socket`: the module itself costs a stage 5 ms, for enums and selectors.
import _socket
import os
import struct

from fargate_driver.ssh.connection import SOCKET
from fargate_driver.ssh.errors import MasterGoneError, SessionRefusedError

_HELLO = 0x00000001
_NEW_SESSION = 0x10000002
_PERMISSION_DENIED = 0x80000002
_FAILURE = 0x80000003
_EXIT_MESSAGE = 0x80000004
_SESSION_OPENED = 0x80000006
_VERSION = 4
_NO_ESCAPE_CHARACTER = 0xFFFFFFFF
_REQUEST = 1
_LARGEST_MESSAGE = 256 * 1024
"""OpenSSH's own limit (CHANNEL_MUX_MAX_PACKET)."""


class Session:
    """A session on the job's ControlMaster, from its request on.

    Args:
        directory: The job's private directory.
        command: What the login shell of the remote user runs.
        streams: The session's standard input, output and error. The master gets copies and makes
            them non-blocking: pass the ends of pipes, never a descriptor that others share.

    Raises:
        MasterGoneError: Nobody listens in the directory; nothing was sent.
    """

    def __init__(self, directory: str, command: bytes, streams: tuple[int, int, int]) -> None:
        self.status: int | None = None
        """The exit status that sshd reported, where it did."""
        self.opened = False
        """Whether the SSH server agreed to it."""
        self.ended = False
        """Whether the master has nothing more to say about this session."""
        self._received = b""
        self._socket = _connect(directory)
        try:
            self._open(command, streams)
        except BrokenPipeError as error:
            self.close()
            raise MasterGoneError("the SSH connection of this job ended just now") from error
        except BaseException:
            self.close()
            raise

    def _open(self, command: bytes, streams: tuple[int, int, int]) -> None:
        request = struct.pack(
            ">IIIIIIII", _NEW_SESSION, _REQUEST, 0, 0, 0, 0, 0, _NO_ESCAPE_CHARACTER
        )
        request += _string(b"") + _string(command)
        self._socket.sendall(_string(struct.pack(">II", _HELLO, _VERSION)) + _string(request))
        for stream in streams:
            self._socket.sendmsg(
                [b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", stream))]
            )

    def fileno(self) -> int:
        """The descriptor to poll: readable when `receive` has something to do."""
        return self._socket.fileno()

    def receive(self) -> None:
        """Take in what the master sent; blocks where that is nothing.

        Raises:
            SessionRefusedError: The session was not opened.
        """
        try:
            data = self._socket.recv(4096)
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            return
        self._received += data
        while len(self._received) >= 8:
            size, kind = struct.unpack_from(">II", self._received)
            if not 4 <= size <= _LARGEST_MESSAGE:
                raise SessionRefusedError("the SSH master speaks another protocol than OpenSSH's")
            if len(self._received) < 4 + size:
                return
            body, self._received = self._received[8 : 4 + size], self._received[4 + size :]
            self._handle(kind, body)

    def _handle(self, kind: int, body: bytes) -> None:
        if kind == _HELLO:
            version = int.from_bytes(body[:4], "big")
            if version != _VERSION:
                raise SessionRefusedError(
                    f"the SSH master speaks version {version} of the mux protocol, not {_VERSION}"
                )
        elif kind == _SESSION_OPENED:
            self.opened = True
        elif kind == _EXIT_MESSAGE:
            self.status = int.from_bytes(body[4:8], "big")
        elif kind in {_PERMISSION_DENIED, _FAILURE}:
            reason = body[8:].decode(errors="replace")
            raise SessionRefusedError(f"the SSH server refused a session: {reason}")

    def close(self) -> None:
        """Hang up: the master ends the session's streams; the remote command learns it as EOF."""
        self._socket.close()


def listens(directory: str) -> bool:
    """Whether the job's ControlMaster is there.

    Args:
        directory: The job's private directory.
    """
    try:
        _connect(directory).close()
    except MasterGoneError:
        return False
    return True


def _string(data: bytes) -> bytes:
    """SSH's `string`, which a mux packet is as well: its length before the bytes."""
    return struct.pack(">I", len(data)) + data


def _connect(directory: str) -> _socket.socket:
    # Through /proc: a socket address holds 107 bytes, and a job's directory may be longer.
    try:
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise MasterGoneError("the job was cleaned up meanwhile") from error
    try:
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(f"/proc/self/fd/{handle}/{SOCKET}")
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            raise MasterGoneError("the SSH connection of this job is gone") from error
        except BaseException:
            connection.close()
            raise
    finally:
        os.close(handle)
    return connection
