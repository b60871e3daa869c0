"""A network of the task's own: an address on a veth pair that ends at the host.

There is no way from it to anywhere else: that would take changes to the host's firewall.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.inside.plan import Link


def connect(link: Link, pid: int) -> None:
    """Make the pair from the host's side.

    Args:
        link: names and addresses.
        pid: a process in the task's network namespace, to which the other end goes.

    Raises:
        OSError: `ip` refused; the text is its own.
    """
    _ip(
        f"link add {link.name} type veth peer name eth0 netns {pid}",
        f"address add {link.host}/30 dev {link.name}",
        f"link set {link.name} up",
    )


def configure(address: str, link: Link) -> None:
    """Set up the task's end, from within its network namespace.

    Args:
        address: the task's own.
        link: names and addresses.

    Raises:
        OSError: `ip` refused.
    """
    _ip(
        "link set lo up",
        f"address add {address}/30 dev eth0",
        "link set eth0 up",
        f"route add default via {link.host}",
    )


def disconnect(link: Link) -> None:
    """Remove the pair if it is there: the kernel does so by itself, but later."""
    with contextlib.suppress(OSError):
        _ip(f"link delete {link.name}")


def _ip(*commands: str) -> None:
    # Only a task with a network of its own pays for the import.
    import subprocess  # noqa: PLC0415

    done = subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(commands),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"ip: {done.stderr.strip()}")
