"""In front of two SSH servers: shows another host key once a key exchange has completed.

A listener that connects each client to one of the servers and passes bytes on. A client's
SSH_MSG_NEWKEYS, in clear text in the first exchange (RFC 4253, sections 6 and 7.3), tells that
the exchange completed: the client accepted the host key that it saw. A port probe never sends it.
"""

from __future__ import annotations

import selectors
import signal
import socket
import struct
from typing import TYPE_CHECKING, NoReturn

from fargate_driver.local.runtimes.inside import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

_NEW_KEYS = 21
_CHUNK = 1 << 16


class KeyExchange:
    """Reads a client's bytes until its first key exchange has completed."""

    def __init__(self) -> None:
        self.completed = False
        self._identified = False
        self._rest = bytearray()

    def feed(self, data: bytes) -> bool:
        """Take the client's next bytes; return whether the exchange has completed with them."""
        if self.completed:
            return False
        self._rest += data
        if not self._identified:
            _, newline, rest = self._rest.partition(b"\n")
            if not newline:
                return False
            self._identified, self._rest = True, rest
        while len(self._rest) >= 6 and not self.completed:
            # uint32 length of what follows, byte length of the padding, the message's number
            (length,) = struct.unpack_from(">I", self._rest)
            if len(self._rest) < 4 + length:
                break
            self.completed = self._rest[5] == _NEW_KEYS
            del self._rest[: 4 + length]
        return self.completed


class _Pipe:
    """One direction of a connection, with what was read and is not yet written."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.data = b""
        self.ended = False

    def pump(self, exchange: KeyExchange | None) -> bool:
        """Pass on what can be without waiting; return whether a key exchange completed.

        Raises:
            OSError: one of the two is gone.
        """
        completed = False
        try:
            while not self.ended:
                if not self.data:
                    self.data = self.source.recv(_CHUNK)
                    if not self.data:
                        self.ended = True
                        self.target.shutdown(socket.SHUT_WR)
                        break
                    if exchange is not None:
                        completed |= exchange.feed(self.data)
                self.data = self.data[self.target.send(self.data) :]
        except BlockingIOError:
            pass
        return completed


class _Connection:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.setblocking(False)
        self.up = _Pipe(client, server)
        self.down = _Pipe(server, client)
        self.exchange = KeyExchange()

    def pump(self) -> tuple[bool, bool]:
        """Pass bytes on; return whether a key exchange completed and whether this goes on."""
        completed = False
        try:
            completed = self.up.pump(self.exchange)
            self.down.pump(None)
        except OSError:  # one of the two is gone
            return completed, False
        return completed, not (self.down.ended and not self.down.data)

    def interests(self) -> dict[socket.socket, int]:
        """Return what to wait for on each of the two sockets."""
        wanted = {self.up.source: 0, self.up.target: 0}
        for pipe in (self.up, self.down):
            if pipe.data:
                wanted[pipe.target] |= selectors.EVENT_WRITE
            elif not pipe.ended:
                wanted[pipe.source] |= selectors.EVENT_READ
        return wanted

    def close(self) -> None:
        self.up.source.close()
        self.up.target.close()


def serve(listener: socket.socket, connect: Callable[[bool], socket.socket | None]) -> NoReturn:
    """Serve for ever.

    Args:
        listener: takes the clients' connections.
        connect: opens a connection to the server, or to the other one if a key exchange has
            completed before; None: it can't be reached, which ends the client's connection.
    """
    kernel.set_process_name("sshd-front")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how the servers ended
    connections: set[_Connection] = set()
    completed_one = False
    listener.setblocking(False)
    while True:
        called = _wait(listener, connections)
        # Before a new connection gets its server, all that came before it is read: a client
        # that connects as soon as its key exchange is done must see the other key.
        for connection in list(connections):
            completed, goes_on = connection.pump()
            completed_one |= completed
            if not goes_on:
                connection.close()
                connections.discard(connection)
        if called:
            client, _ = listener.accept()
            server = connect(completed_one)
            if server is None:
                client.close()
            else:
                connections.add(_Connection(client, server))


def _wait(listener: socket.socket, connections: set[_Connection]) -> bool:
    """Wait for something to do; return whether a client calls."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        for connection in connections:
            for end, events in connection.interests().items():
                if events:
                    selector.register(end, events)
        return any(key.fileobj is listener for key, _ in selector.select())
