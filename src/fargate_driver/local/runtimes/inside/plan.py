"""What the supervisor is told about the task it runs: one line of JSON on its stdin."""

from __future__ import annotations

import json
from typing import NamedTuple


class Link(NamedTuple):
    """A veth pair between the host and the task's network namespace."""

    name: str
    """The host's end; the task's end is eth0."""
    host: str
    """The host's address on the /30 that the two of them share."""


class Plan(NamedTuple):
    """One task. Nothing here is secret: the container's environment is the process's own."""

    directory: str
    """The task's directory on the host."""
    hidden: str
    """The directory of the embedded Fargate, which no task may see."""
    address: str
    port: int
    sshd: str
    """Absolute path of OpenSSH's server."""
    user: str
    """The account that logs in; the supervisor's own."""
    home: str
    path: list[str]
    """Directories that the task sees at the same path."""
    isolated: bool
    """Own PID and mount namespaces and root file system; otherwise plain processes."""
    link: Link | None
    """Own network namespace, reached over this; otherwise the host's network."""
    cgroups: list[str]
    """Directories of cgroups, already limited, that the task's processes go into."""
    delay: float
    """Seconds until anything listens."""
    refuses_key: float | None
    """Seconds for which every key is refused; None: for ever."""
    other_host_key: bool

    def dumps(self) -> str:
        """Return the plan as one line."""
        return json.dumps(self)

    @classmethod
    def loads(cls, line: str) -> Plan:
        """Read what `dumps` wrote."""
        plan = cls(*json.loads(line))
        return plan._replace(link=Link(*plan.link) if plan.link else None)
