"""TCP ports for the servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _EACH, _WORKERS = 20_000, 500, 25
"""More workers than scripts/test starts. Below 32,768, where the ports begin that the kernel gives
away by itself (ip_local_port_range of ip(7)): one that it chose for a trial may be a client's
before the server has started."""
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_turns = itertools.count(os.getpid())


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at, and that no other test gets for a while."""
    for _ in range(_EACH):
        port = _FIRST + _worker * _EACH + next(_turns) % _EACH
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")
