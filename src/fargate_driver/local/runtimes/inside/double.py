"""An SSH server with two faces: the container's own, and a second one with another host key.

Both run in the container, on addresses that only a front knows, which answers on the task's.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fargate_driver.local.runtimes.inside import front, kernel, process, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.local.runtimes.inside.plan import Inner, Plan, Process

_PAUSE = 0.02  # seconds
_LISTENS = "0A"  # a state in /proc/net/tcp, see proc(5)


def start(plan: Plan, own: Process, inner: Inner, init: int) -> None:
    """Start the second server, and the front.

    Args:
        plan: The container.
        own: What it runs.
        inner: Where its server listens, and the second one is to.
        init: Its first process, which is executed already.
    """
    variables = {**own.environment, "FARGATE_LISTEN_ADDRESS": inner.other}

    container = kernel.reach(init)

    def serve_too() -> NoReturn:
        kernel.join_process(container)
        os.chdir(own.working_directory)
        process.become(own)
        process.execute(own.arguments, variables)

    _fork(serve_too)
    _fork(lambda: _answer(plan.address, inner))
    os.close(container.process)


def _fork(run: Callable[[], NoReturn]) -> None:
    """Run something in the container's PID namespace, with which it ends."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        # The namespace's end would wait for its processes to be reaped: so they become its init's.
        os._exit(0)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # The supervisor's own talk with the embedded Fargate.
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        os.dup2(2, 1)
        run()
    except OSError as error:
        sys.stderr.write(f"{report.describe(error)}\n")
        sys.stderr.flush()
    finally:
        os._exit(1)


def _answer(address: str, inner: Inner) -> NoReturn:
    # A port on which nothing listens stays one.
    while (port := _port(inner.address)) is None or port != _port(inner.other):
        time.sleep(_PAUSE)

    def connect(other: bool) -> socket.socket | None:
        try:
            return socket.create_connection((inner.other if other else inner.address, port))
        except OSError:
            return None

    with socket.create_server((address, port), backlog=128) as listener:
        front.serve(listener, connect)


def _port(address: str) -> int | None:
    """Return a port on which something listens at an address."""
    wanted = socket.inet_aton(address)[:: -1 if sys.byteorder == "little" else 1].hex().upper()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        shown, _, port = local.partition(":")
        if shown == wanted and state == _LISTENS:
            return int(port, 16)
    return None
