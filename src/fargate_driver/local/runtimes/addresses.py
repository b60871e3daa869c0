"""Addresses for tasks, at random, so that several embedded Fargates on a machine rarely meet."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
from pathlib import Path

from fargate_driver.local.runtimes.base import RuntimeUnavailableError

_LOOPBACK = int(ipaddress.IPv4Address("127.64.0.0"))  # a /10, far from what people use
_PRIVATE = int(ipaddress.IPv4Address("10.64.0.0"))  # a /10
_SIZE = 1 << 22
_TRIES = 1000


class Loopback:
    """Addresses in 127.64.0.0/10 on which a port is free.

    Args:
        port: the TCP port.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._used: set[str] = set()

    def take(self) -> str:
        """Return an address that nothing listens on.

        Raises:
            RuntimeUnavailableError: none can be bound.
        """
        problem = "all are taken"
        for _ in range(_TRIES):
            address = str(ipaddress.IPv4Address(_LOOPBACK + random.randrange(1, _SIZE - 1)))  # noqa: S311  no secret
            if address in self._used:
                continue
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trial.bind((address, self._port))
                except OSError as error:
                    problem = str(error)
                    continue
            self._used.add(address)
            return address
        raise RuntimeUnavailableError(
            f"no free loopback address in 127.64.0.0/10 for port {self._port}: {problem}"
        )

    def give_back(self, address: str) -> None:
        """Let an address be taken again."""
        self._used.discard(address)


class Links:
    """Pairs of addresses, a /30 each in 10.64.0.0/10, that the host has no route to."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def take(self) -> tuple[str, str]:
        """Return the host's and the task's address.

        Raises:
            RuntimeUnavailableError: the host has routes to all that was tried.
        """
        routes = _routes()
        for _ in range(_TRIES):
            network = ipaddress.IPv4Network((_PRIVATE + 4 * random.randrange(_SIZE // 4), 30))  # noqa: S311  no secret
            host, task = map(str, network.hosts())
            if task not in self._used and not any(map(network.overlaps, routes)):
                self._used.add(task)
                return host, task
        raise RuntimeUnavailableError(
            "this machine has routes to all of 10.64.0.0/10: use another --runtime"
        )

    def give_back(self, address: str) -> None:
        """Let a task's address be taken again."""
        self._used.discard(address)


def _routes() -> list[ipaddress.IPv4Network]:
    """Return the networks in the kernel's main routing table, but for the default route."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        # Both are in the kernel's byte order for addresses, shown as a number of the host's.
        network, mask = (
            int.from_bytes(struct.pack("=I", int(fields[index], 16)), "big") for index in (1, 7)
        )
        if mask:
            routes.append(ipaddress.IPv4Network((network, mask.bit_count())))
    return routes
