"""Whose job a record is, and whether that job is over although nobody cleaned up.

gitlab-runner that is killed, or whose host goes down, never calls cleanup. What it leaves is told
from running jobs by evidence that a later process can check. Where the evidence can't be seen from
here (another host, another namespace), a job counts as running until its time is up.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver import host, moment

if TYPE_CHECKING:
    from fargate_driver.moment import Moment

TRY = "fargate-try"
"""What `fargate try` calls its process: it stands in for gitlab-runner, and may be killed too."""
_RUNNERS = ("gitlab-runner", TRY)
_SPARE = 3600.0
"""Seconds beyond the job's own time-out after which it is over in any case."""


class Owner(NamedTuple):
    """The evidence, as prepare saw it."""

    host: str
    """The host, "" where it can't be told from others that look the same."""
    pid_namespace: str
    mount_namespace: str
    runner_pid: int
    """The process that called for the job, most often the nearest ancestor named gitlab-runner; 0
    where there is none."""
    runner_started: int
    """When it began, in clock ticks since the boot: a reused pid has another."""
    temporary: str
    """The job's temporary directory, which gitlab-runner removes after cleanup; "" for none."""
    began: Moment
    """When prepare began. Another boot of the same host means that it was restarted."""
    longest: float
    """Seconds after which the job is over in any case."""


def owner_of_this_call(
    temporary: str | None, seconds: float, *, runner: int | None = None
) -> Owner:
    """Gather the evidence for the job that this process was called for.

    Args:
        temporary: the runner's TMPDIR.
        seconds: how long the job may take, its start included.
        runner: the process that the job is over with; None to look for gitlab-runner.
    """
    pid, started = (runner, _started(runner)) if runner else _runner()
    return Owner(
        host=host.known(),
        pid_namespace=_namespace("pid"),
        mount_namespace=_namespace("mnt"),
        runner_pid=pid,
        runner_started=started,
        temporary=temporary or "",
        began=moment.now(),
        longest=seconds + _SPARE,
    )


def why_over(owner: Owner) -> str:
    """Say why the job is over, "" where it may still run."""
    # What can be seen comes before any clock; within one boot, no change of the clock counts.
    if owner.began.boot != moment.boot_id():
        # Restarted, or another host, such as a clone of this one.
        if owner.host and owner.host == host.known():
            return "its host was restarted"
    elif (
        owner.runner_pid
        and owner.pid_namespace == _namespace("pid")
        and _started(owner.runner_pid) != owner.runner_started
    ):
        return "its gitlab-runner is gone"
    elif (
        owner.temporary
        and owner.mount_namespace == _namespace("mnt")
        and not os.path.exists(owner.temporary)
    ):
        return "gitlab-runner has removed its temporary directory"
    return "its time is up" if owner.began.age() > owner.longest else ""


def this_process() -> str:
    """Name this process so that another can find it, if it still is there."""
    pid = os.getpid()
    return f"{pid} {_started(pid)} {_namespace('pid')} {moment.boot_id()}"


def living(name: str) -> int | None:
    """Find a process.

    Args:
        name: as `this_process` gave it.

    Returns:
        Its pid, or None where it has ended (another may have its pid), or can't be seen from here.

    Raises:
        ValueError: this is no such name.
    """
    pid, started, *where = name.split()
    # The first PID namespace has the same number on every host.
    seen = where == [_namespace("pid"), moment.boot_id()]
    return int(pid) if seen and _started(int(pid)) == int(started) else None


def _runner() -> tuple[int, int]:
    pid = os.getppid()
    while pid > 0:
        name, parent, started = _stat(pid)
        if name in _RUNNERS:
            return pid, started
        pid = parent
    return 0, 0


def _started(pid: int) -> int:
    return _stat(pid)[2]


def _stat(pid: int) -> tuple[str, int, int]:
    """Name, parent and start of a process; of none: "", 0 and -1. See proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            before, _, after = file.read().rpartition(b")")
    except OSError:
        return "", 0, -1
    fields = after.split()
    if fields[0] == b"Z":
        return "", 0, -1
    return before.partition(b"(")[2].decode(errors="replace"), int(fields[1]), int(fields[19])


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""
