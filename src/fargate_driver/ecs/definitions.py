"""Finding and registering derived task definitions, once for all jobs of a host that share one.

A family's name is the hash of the request, so whoever knows the name knows the definition. This
host notes in a file per family which revision it found; the file's time is that of its last use.
Its lock lets one process ask ECS while the others wait for what it finds. Where no files can be
kept, each process asks for itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.ecs import pace
from fargate_driver.ecs.base_definition import Base
from fargate_driver.ecs.errors import StartTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fargate_driver.ecs.client import Ecs
    from fargate_driver.ecs.errors import EcsError
    from fargate_driver.ecs.target import Target

RATE = pace.Rate(per_second=1.0, burst=5)
"""Calls of RegisterTaskDefinition by one host. AWS allows an account 1 a second, and 20 at once
(https://github.com/aws-actions/amazon-ecs-deploy-task-definition/issues/502)."""
_BASE_LASTS = 60.0
"""Seconds for which the latest revision of a base task definition is taken to be the latest."""
_KEPT = 90 * 86400.0
"""Seconds after its last use for which a definition is remembered: images that are named by commit
make new ones every day."""
_GLANCE = 0.1
"""Seconds between looks at a lock that another process holds while it asks ECS."""
_REVISION = re.compile(r"[A-Za-z0-9_-]{1,255}:[1-9][0-9]{0,9}")
_PINNED = re.compile(":[0-9]+$")
"""A revision at the end of a name; a family may be all digits, too."""
_GONE = ("taskdefinition is inactive", "taskdefinition not found", "unable to describe task def")
"""What ECS says about a revision that was deregistered, or is another account's."""


class Use(NamedTuple):
    """A derived task definition that this host knows.

    Attributes:
        family: Its family.
        last: When a job of this host last used it, in seconds since the epoch.
    """

    family: str
    last: float


class Definitions:
    """The derived task definitions of one account and Region.

    Args:
        ecs: The client.
        records: `[TaskMetadata] Directory`. What is known is kept in a directory beside it.
        deadline: Until when to wait for another process that asks ECS (time.monotonic).
    """

    def __init__(self, ecs: Ecs, records: Path, deadline: float) -> None:
        self._ecs = ecs
        self._deadline = deadline
        account = _account(ecs.target)
        self._directory = records.with_name(f"{records.name}-definitions")
        self._prefix = f"{pace.digest(*account)}-"
        self._turns = pace.place(records, "RegisterTaskDefinition", *account)

    def find(self, request: dict[str, Any]) -> str:
        """Get the task definition to start a job with, which is registered where it is missing.

        Args:
            request: As derive makes it.

        Returns:
            `family:revision`.

        Raises:
            EcsError: ECS refused.
            StartTimeoutError: Another process took too long.
        """
        path = self._path(request["family"])
        known = _known(path)
        if not known:
            with self._locked(path) as kept:
                # The one who held the lock may have found it.
                known = _known(path) if kept else None
                if not known:
                    known = self._ecs.active_task_definition(request["family"])
                    known = known or self._register(request)
                    if kept:
                        _keep(path, known)
        with contextlib.suppress(OSError):
            os.utime(path)
        return known

    def forget(self, definition: str) -> None:
        """Forget one that ECS doesn't know any more.

        Args:
            definition: `family:revision`.
        """
        path = self._path(definition.partition(":")[0])
        with self._locked(path) as kept:
            # Another process may have registered it again.
            if kept and _known(path) in (definition, None):
                path.unlink()

    def base(self, name: str, *, tags: bool) -> Base:
        """Get the task definition to derive from.

        Args:
            name: Family, family:revision, or an ARN of one.
            tags: Whether its tags are wanted.

        Raises:
            EcsError: There is none, or ECS refused.
        """
        path = self._path(f"base-{pace.digest(name, str(tags))}")
        found = _known_base(path, for_ever=_PINNED.search(name) is not None)
        if not found:
            with self._locked(path) as kept:
                found = _known_base(path, for_ever=False) if kept else None
                if not found:
                    content, tag_list = self._ecs.describe_task_definition(name, tags=tags)
                    # AWS gives tags of its own, as CloudFormation does, and takes none.
                    own = {
                        tag["key"]: tag.get("value", "")
                        for tag in tag_list
                        if not tag["key"].lower().startswith("aws:")
                    }
                    found = Base(content["taskDefinitionArn"], content, own)
                    if kept:
                        _keep(path, json.dumps(found))
        return found

    def uses(self) -> list[Use]:
        """What this host knows of, the bases apart."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(self._directory.glob(f"{self._prefix}*")):
                known = _known(path)
                if known:
                    found.append(Use(known.partition(":")[0], path.stat().st_mtime))
        return found

    def _path(self, name: str) -> Path:
        return self._directory / f"{self._prefix}{name}"

    def _register(self, request: dict[str, Any]) -> str:
        self._drop_old()
        wait = 0.0
        with contextlib.suppress(OSError), pace.hold(self._turns, RATE, patience=5.0) as bucket:
            if bucket:
                wait = bucket.wait()
                bucket.take()
        time.sleep(max(0.0, min(wait, self._deadline - time.monotonic())))
        return self._ecs.register_task_definition(request)

    def _drop_old(self) -> None:
        """Remove the files that are of no use any more."""
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                if time.time() - path.stat().st_mtime > _KEPT:
                    path.unlink()

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[bool]:
        """Be the only process of the host that works on a family; False where none can know."""
        handle = None
        try:
            _make(self._directory)
            while (handle := pace.lock(path)) is None:
                if time.monotonic() > self._deadline:
                    raise StartTimeoutError(
                        f"another process of this host holds {path}, to register the task"
                        " definition of this job too, and didn't finish within StartTimeout"
                    )
                time.sleep(_GLANCE)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            os.close(handle)


def is_gone(error: EcsError) -> bool:
    """Whether RunTask failed since the task definition was deregistered meanwhile."""
    words = error.message.lower()
    return error.operation == "RunTask" and any(gone in words for gone in _GONE)


def _account(target: Target) -> tuple[str | None, ...]:
    return target.region, target.endpoint_url, target.assume_role


def _make(directory: Path) -> None:
    """Make the directory; OSError where it can't be, or is someone else's."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if directory.is_symlink() or found.st_uid != os.geteuid():
        raise PermissionError(f"{directory} is not this user's own")


def _read(path: Path) -> str:
    """What a file of ours says; "" for one that isn't there or isn't ours."""
    with contextlib.suppress(OSError, ValueError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(handle, encoding="utf-8") as file:
            if os.fstat(handle).st_uid == os.geteuid():
                return file.read()
    return ""


def _known(path: Path) -> str | None:
    text = _read(path)
    # Another family's name could only come from elsewhere.
    whole = _REVISION.fullmatch(text) and path.name.endswith(f"-{text.partition(':')[0]}")
    return text if whole else None


def _known_base(path: Path, *, for_ever: bool) -> Base | None:
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        age = time.time() - path.stat().st_mtime
        base = Base(*json.loads(_read(path)))
        sound = isinstance(base.arn, str) and isinstance(base.content, dict)
        if sound and isinstance(base.tags, dict) and (for_ever or 0 <= age < _BASE_LASTS):
            return base
    return None


def _keep(path: Path, text: str) -> None:
    """Write a file, which stays locked, so that a crash leaves what isn't understood at most."""
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8")
