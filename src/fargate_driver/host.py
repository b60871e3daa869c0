"""Which host this is: told from its clones, and known again after a restart.

Virtual machines that are made of one image may share /etc/machine-id and the host name, but hardly
the addresses of their network interfaces too: with those, two in one network reach nobody.
"""

from __future__ import annotations

import os

_MACHINE_ID = "/etc/machine-id"
_INTERFACES = "/sys/class/net"
_PERMANENT = "0"
"""addr_assign_type of an address that the device itself has, so that it outlives a restart
(https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-class-net)."""


def identity() -> str:
    """This host: its name, /etc/machine-id, and what hardware addresses can be seen."""
    return " ".join((os.uname().nodename, _read(_MACHINE_ID), *_addresses()))


def known() -> str:
    """This host where it can be told from its clones, else "".

    Containers of one image have the same machine-id, or none, and see no hardware.
    """
    whole = _read(_MACHINE_ID) and _addresses()
    return identity() if whole else ""


def _addresses() -> list[str]:
    """Permanent addresses of network devices; virtual interfaces (no device) come and go."""
    try:
        places = [os.path.join(_INTERFACES, name) for name in os.listdir(_INTERFACES)]
    except OSError:
        return []
    devices = [place for place in places if os.path.exists(os.path.join(place, "device"))]
    return sorted(
        address
        for place in devices
        if _read(os.path.join(place, "addr_assign_type")) == _PERMANENT
        and (address := _read(os.path.join(place, "address")))
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
