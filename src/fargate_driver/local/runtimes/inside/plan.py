"""What the supervisor is told about the container it runs: one line of JSON on its stdin."""

from __future__ import annotations

import json
from typing import NamedTuple


class Link(NamedTuple):
    """A veth pair between the host and the task's network namespace."""

    name: str
    """The host's end; the task's end is eth0."""
    host: str
    """The host's address on the /30 that the two of them share."""


class Bind(NamedTuple):
    """A file or directory of the host that a container sees."""

    source: str
    target: str
    """Absolute, in the container."""
    read_only: bool


class Process(NamedTuple):
    """The first process of a container that has an entrypoint."""

    arguments: list[str]
    environment: dict[str, str]
    uid: int
    gid: int
    groups: list[int]
    """Supplementary ones."""
    working_directory: str
    """Made if it isn't there."""
    stop_signal: int
    """The number of the signal that asks it to end."""


class Inner(NamedTuple):
    """Addresses that a container's SSH server listens on where a front answers for it."""

    address: str
    other: str
    """For the server with another host key."""


class Plan(NamedTuple):
    """One container."""

    storage: str
    """A path for what the container writes: made, and in the end removed, by the supervisor."""
    hidden: str
    """The directory of the embedded Fargate, which no task may see."""
    address: str
    """The task's."""
    host_name: str
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
    network: int | None
    """A descriptor of the task's own network namespace; otherwise it is the host's."""
    cgroups: list[str]
    """Directories of cgroups, already limited, that the container's processes go into."""
    root: str | None
    """The root file system of an image, which isn't changed; None: the host's."""
    read_only: bool
    """Whether the container can't write to its root file system either."""
    binds: list[Bind]
    process: Process | None
    """None: the SSH server of the built-in image."""
    inner: Inner | None
    """Where the SSH server of `process` listens; None: on the task's address."""
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
        return plan._replace(
            binds=[Bind(*bind) for bind in plan.binds],
            process=Process(*plan.process) if plan.process else None,
            inner=Inner(*plan.inner) if plan.inner else None,
        )
