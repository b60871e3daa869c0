"""DescribeTasks, shared by all drivers of one host that wait for tasks of one cluster.

Whoever waits has a socket in its job's directory, named by its task. Whoever wants to know more
takes a lock, asks ECS for the tasks of all sockets at once, and sends each its task. The lock and
the sockets go with the process, however it ends; a socket that nobody listens at any more counts
for nothing and is removed with its job's directory. Nobody depends on anybody: where sharing fails
in any way, the waiting driver asks for itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.ecs import pace
from fargate_driver.ecs.errors import EcsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.ecs.client import Ecs

RATE = pace.Rate(per_second=1.0, burst=4)
"""Calls of DescribeTasks by one host for one cluster. The rate that AWS allows an account is not
published; a hundred agents that polled each for itself exceeded it
(https://github.com/jenkinsci/amazon-ecs-plugin/pull/133)."""
_BATCH = 100
"""Tasks that one call describes (API_DescribeTasks: tasks)."""
_TASK_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f-]{36}")
_GLANCE = 0.25
"""Seconds between looks at a lock that another process holds while it asks."""
_PATIENCE = 90.0
"""Seconds after which a lock is held by a process that is stuck: longer than any call takes."""
_SETBACK = 3.0
"""Seconds without calls after one that was throttled or not served."""
_LONGEST_MESSAGE = 1 << 20


class Seen(NamedTuple):
    """What ECS said about the task.

    Attributes:
        asked: when it was asked, by time.monotonic, which is one clock for the whole machine.
        task: the task, or None where ECS doesn't know it.
        failure: why ECS doesn't show a task that it knows, or None.
    """

    asked: float
    task: dict[str, Any] | None
    failure: str | None


class SharedLooks:
    """This process's place among those that wait.

    Args:
        ecs: the client, for the rounds that this process makes.
        directory: the job's directory, below the one that the host's drivers share.
        task_arn: the task.
    """

    def __init__(self, ecs: Ecs, directory: str, task_arn: str) -> None:
        self._ecs = ecs
        self._arn = task_arn
        self._root = Path(directory).parent
        self._siblings, _, task_id = task_arn.rpartition("/")
        target = ecs.target
        # The task's ARN tells the account: credentials of another one would find no task.
        facts = (target.region, target.endpoint_url, target.assume_role, self._siblings)
        self._lock = pace.place(self._root, "DescribeTasks", *facts)
        self._prefix = f"waiting-{pace.digest(*facts)}-"
        self._seen: Seen | None = None
        self._heard = time.monotonic()
        self._socket: socket.socket | None = None
        self._path = Path(directory, self._prefix + task_id)
        self.trouble: str | None = None
        """Why the last call failed that will be tried again."""
        if _TASK_ID.fullmatch(task_id):
            with contextlib.suppress(OSError):
                self._socket = _listen(self._path)

    def close(self) -> None:
        """Wait no longer."""
        if not self._socket:
            return
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            self._path.unlink()
            # Two that leave at once must see each other: patience for the other's look.
            with pace.hold(self._lock, RATE, patience=1.0) as bucket:
                if bucket and not any(self._company()):
                    self._lock.unlink()

    def newer(self, than: float, due: float, deadline: float) -> Seen | None:
        """Get a look at the task that was begun after a moment, no matter by whom.

        Args:
            than: the moment; this and the others by time.monotonic.
            due: from when on to ask, if nobody else has asked.
            deadline: when to return without one.

        Returns:
            The newest look; an older one, or None, at the deadline.

        Raises:
            EcsError: ECS refused to describe tasks.
        """
        while True:
            self._receive()
            if self._seen and self._seen.asked > than:
                return self._seen
            now = time.monotonic()
            wait = due - now if now < due else self._try_to_ask()
            left = deadline - time.monotonic()
            if wait > 0 and left <= 0:
                return self._seen
            self._wait(min(wait, left))

    def describe_task(self, task_arn: str) -> dict[str, Any] | None:
        """Look now, as Ecs.describe_task does for a task of no company."""
        now = time.monotonic()
        seen = self.newer(now, now, now + _SETBACK)
        return seen.task if seen and task_arn == self._arn else None

    def _try_to_ask(self) -> float:
        """Make a round; returns the seconds to wait before the next try, 0 for news."""
        if not self._socket:
            return self._ask_alone()
        try:
            with pace.hold(self._lock, RATE) as bucket:
                if bucket:
                    return self._ask_for_all(bucket)
        except OSError:
            return self._ask_alone()
        if time.monotonic() - self._heard > _PATIENCE:
            return self._ask_alone()
        return _GLANCE

    def _ask_for_all(self, bucket: pace.Bucket) -> float:
        before = self._seen
        self._receive()
        if self._seen is not before:
            return 0.0  # told by the one who held the lock until now
        wait = bucket.wait()
        if wait > 0:
            return wait
        waiting = {self._arn: self._path}
        for path, task_id in self._company():
            waiting.setdefault(f"{self._siblings}/{task_id}", path)
        arns = list(waiting)
        for first in range(0, len(arns), _BATCH):
            bucket.take()
            answers = self._ask(arns[first : first + _BATCH])
            if answers is None:
                bucket.take(RATE.burst + _SETBACK * random.uniform(0.5, 1.5))  # noqa: S311 - spreads calls
                return _GLANCE
            for arn, seen in answers.items():
                if arn == self._arn:
                    self._note(seen)
                else:
                    _send(waiting[arn], seen)
        return 0.0

    def _ask_alone(self) -> float:
        answers = self._ask([self._arn])
        self._heard = time.monotonic()
        if answers is None:
            return _SETBACK * random.uniform(0.5, 1.5)  # noqa: S311 - spreads calls
        self._note(answers[self._arn])
        return 0.0

    def _ask(self, arns: list[str]) -> dict[str, Seen] | None:
        """Call DescribeTasks once; None where it failed and may work later."""
        asked = time.monotonic()
        try:
            tasks, failures = self._ecs.describe_tasks(arns, once=True)
        except EcsError as e:
            if not e.passing:
                raise
            self.trouble = str(e)
            return None
        self.trouble = None
        return {arn: Seen(asked, tasks.get(arn), failures.get(arn)) for arn in arns}

    def _company(self) -> Iterator[tuple[Path, str]]:
        """The others who wait: path of the socket, id of the task."""
        with os.scandir(self._root) as entries:
            directories = [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for directory in directories:
            paths: list[Path] = []
            with contextlib.suppress(OSError):
                paths = list(directory.glob(f"{self._prefix}*"))
            for path in paths:
                task_id = path.name.removeprefix(self._prefix)
                if path == self._path or not _TASK_ID.fullmatch(task_id):
                    continue
                with contextlib.suppress(OSError), _connected(path):
                    yield path, task_id

    def _receive(self) -> None:
        """Take in what others have sent."""
        while self._socket:
            try:
                message = self._socket.recv(_LONGEST_MESSAGE)
            except OSError:
                return
            seen = _understood(message)
            if seen and (not self._seen or seen.asked > self._seen.asked):
                self.trouble = None
                self._note(seen)

    def _note(self, seen: Seen) -> None:
        self._seen = seen
        self._heard = time.monotonic()

    def _wait(self, seconds: float) -> None:
        """Wait for a message, but not for long."""
        if seconds <= 0:
            return
        if self._socket:
            select.select([self._socket], [], [], seconds)
        else:
            time.sleep(seconds)


def _understood(message: bytes) -> Seen | None:
    """The look in a message, or None for anything else."""
    try:
        asked, task, failure = json.loads(message)
    except (ValueError, TypeError, RecursionError):
        return None
    sound = (
        isinstance(asked, float)
        and asked <= time.monotonic()
        and (task is None or isinstance(task, dict))
        and (failure is None or isinstance(failure, str))
    )
    return Seen(asked, task, failure) if sound else None


@contextlib.contextmanager
def _short(path: Path) -> Iterator[Path]:
    """Another name for a path; those of sockets end at 107 bytes (unix(7))."""
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{handle}", path.name)
    finally:
        os.close(handle)


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        with _short(path) as name:
            name.unlink(missing_ok=True)
            listening.bind(str(name))
            name.chmod(0o600)
    except BaseException:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    """Connect to a socket; OSError where nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sending:
        with _short(path) as name:
            sending.connect(str(name))
        yield sending


def _send(path: Path, seen: Seen) -> None:
    """Tell another process; one that is gone, or slow, will ask again."""
    with contextlib.suppress(OSError), _connected(path) as sending:
        sending.send(json.dumps(seen, default=str).encode())
