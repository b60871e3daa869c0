"""What the supervisor of a podman container is told: one line of JSON on its stdin, a pipe."""

from __future__ import annotations

import json
from typing import NamedTuple

from fargate_driver.local.runtimes.inside.plan import Link


class ContainerPlan(NamedTuple):
    """One task."""

    podman: str
    """Absolute path of the program."""
    name: str
    """The container's."""
    arguments: list[str]
    """What `podman run` gets beside name and network."""
    environment: dict[str, str]
    """Values for those options `--env NAME` among the arguments that have none."""
    address: str
    port: int
    """Where clients connect to."""
    link: Link | None
    """Own network, reached over this; otherwise podman's, and only the port is passed on."""
    delay: float
    """Seconds until anything listens."""
    other_host_key: list[str] | None
    """The command of a server with another host key, for one connection on stdin and stdout."""

    def dumps(self) -> str:
        """Return the plan as one line."""
        return json.dumps(self)

    @classmethod
    def loads(cls, line: str) -> ContainerPlan:
        """Read what `dumps` wrote."""
        plan = cls(*json.loads(line))
        return plan._replace(link=Link(*plan.link) if plan.link else None)
