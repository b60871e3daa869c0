"""The files that tell a container about names: its own, as Docker has it, and writable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.inside.plan import Bind

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.inside.plan import Plan

_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def write(plan: Plan) -> list[Bind]:
    """Write them into the container's storage; return what is to be shown in it."""
    place = Path(plan.storage) / "names"
    place.mkdir()
    try:
        resolv = Path("/etc/resolv.conf").read_text()
    except FileNotFoundError:
        resolv = ""
    texts = {
        "hosts": f"{_HOSTS}{plan.address}\t{plan.host_name}\n",
        "hostname": f"{plan.host_name}\n",
        "resolv.conf": resolv,
    }
    for name, text in texts.items():
        (place / name).write_text(text)
    return [Bind(str(place / name), f"/etc/{name}", read_only=False) for name in texts]
