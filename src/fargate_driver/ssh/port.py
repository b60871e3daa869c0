"""A look at a TCP port: does an SSH server answer there?"""

from __future__ import annotations

import socket


def port_trouble(host: str, port: int, timeout: float) -> str:
    """Say what keeps an SSH server from answering; "" when one greeted.

    Args:
        host: An IP address.
        port: TCP port.
        timeout: Seconds to wait for the connection, and again for the server's first bytes.
    """
    try:
        with socket.create_connection((host, port), timeout) as connection:
            greeting = connection.recv(4)
    except TimeoutError:
        return f"nothing answered within {timeout:.0f} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not greeting:
        return "the connection was closed before any greeting"
    return "" if greeting == b"SSH-" else "something else than an SSH server answers"
