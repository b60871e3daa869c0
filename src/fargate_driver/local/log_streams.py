"""What containers with the log driver awslogs have written, kept after their end.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from fargate_driver.local.container import Container
    from fargate_driver.local.task import Task

_MOST_EVENTS = 10_000  # of a stream; older ones are forgotten, the numbers stay
_LONGEST_MESSAGE = 256 * 1024  # bytes, CloudWatch's own limit
_CHUNK = 1 << 20  # bytes read at a time


def _now() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Event:
    """A line."""

    number: int
    """Of the stream's, from 0."""
    timestamp: int
    """When it was seen, in milliseconds since the epoch."""
    message: str


@dataclass
class Stream:
    """The lines of one container."""

    name: str
    created: int = field(default_factory=_now)
    """In milliseconds since the epoch."""
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    _offset: int = 0
    _rest: bytes = b""

    def follow(self, file: Path, *, to_the_end: bool = False) -> None:
        """Take in what has been written since the last time.

        Args:
            file: What the container writes to; may not exist yet.
            to_the_end: Nobody writes any more: all is read, an unfinished line too.
        """
        try:
            with file.open("rb") as opened:
                opened.seek(self._offset)
                while chunk := opened.read(_CHUNK):
                    self._offset += len(chunk)
                    self._take(chunk)
                    if not to_the_end:
                        break
        except FileNotFoundError:
            return
        if to_the_end and self._rest:
            self._take(b"\n")

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > _LONGEST_MESSAGE:
            lines.append(self._rest[:_LONGEST_MESSAGE])
            self._rest = self._rest[_LONGEST_MESSAGE:]
        number = self.events[-1].number + 1 if self.events else 0
        now = _now()
        for line in lines:
            if line:  # CloudWatch takes no empty events
                message = line.decode(errors="replace").removesuffix("\r")
                self.events.append(Event(number, now, message))
                number += 1


class LogStreams:
    """All log groups, by region; a group exists once a container writes to it."""

    def __init__(self) -> None:
        self._groups: defaultdict[tuple[str, str], dict[str, Stream]] = defaultdict(dict)

    def group(self, region: str, name: str) -> dict[str, Stream] | None:
        """Return a group's streams by name; None for no such group."""
        return self._groups.get((region, name))

    def open(self, task: Task, container: Container) -> Stream | None:
        """Make the stream of a container that is about to start; None if it logs elsewhere."""
        log = container.definition.get("logConfiguration", {})
        options = log.get("options", {})
        if log.get("logDriver") != "awslogs" or "awslogs-group" not in options:
            return None
        prefix = options.get("awslogs-stream-prefix", "ecs")
        stream = Stream(f"{prefix}/{container.name}/{task.task_id}")
        region = options.get("awslogs-region", task.region)
        self._groups[region, options["awslogs-group"]][stream.name] = stream
        return stream
