"""The jobs of this host that are over, for people: one line of JSON each.

The file is beside `[TaskMetadata] Directory`, whose own content is about jobs that are not over. It
is opened for appending and locked for each line; a line that a crash cut off is closed by the next
one and skipped by readers. Nothing else depends on it: where it can't be written, no job fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver import masking
from fargate_driver.costs import bill
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.records import JobRecord

LARGEST = 2 << 20
"""Bytes of the file; then the older half of it is forgotten, about 1,500 jobs being left."""
OLDEST = 7 * 24 * 3600.0
"""Seconds after which a job is forgotten too, at such a moment."""
_PATIENCE = 2.0
"""Seconds to wait for other processes that write; then the line is lost, and no job held up."""
_LONGEST = 400
"""Characters of a text in a line."""


class Entry(NamedTuple):
    """A job, as commands show it. Texts are "" where unknown."""

    job: str
    """Its number."""
    name: str
    pipeline: str
    project: str
    state: str
    """GitLab's job status, "not started", "reaped" or "ended"."""
    image: str
    """"" in task-definition mode."""
    definition: str
    container: str
    task_arn: str
    cpu: str
    """CPU units."""
    memory: str
    """MiB."""
    capacity: str
    cost: str
    """US dollars by AWS's prices; "" while nothing is billed too."""
    began: float
    """When prepare began, in seconds since the epoch."""
    seconds: float
    """How long it has been or was there, from then."""
    target: Target
    """Where ECS is called about it."""


_TEXTS = Entry._fields.index("began")


def entry(record: JobRecord, state: str) -> Entry:
    """Describe a job by its record.

    Args:
        record: of this or an older version.
        state: what became of it.
    """
    about, launch = record.about, record.launches[-1] if record.launches else None
    size = record.size
    billed = bill.load(record.directory)
    cost = billed.cost() if billed else None
    return Entry(
        job=about.get("job") or Path(record.directory).name.partition("-")[0],
        name=about.get("name", ""),
        pipeline=about.get("pipeline", ""),
        project=about.get("project") or record.description,
        state=masking.whole(state),  # the job can set its own CI_JOB_STATUS
        image=about.get("image", ""),
        definition=launch.definition if launch else "",
        container=record.container,
        task_arn=(launch.task_arn if launch else None) or "",
        cpu=str(size.get("cpu") or ""),
        memory=str(size.get("memory") or ""),
        capacity=launch.capacity if launch else "",
        cost="" if cost is None else f"{cost:.6f}",
        began=record.owner.began.epoch,
        seconds=max(record.owner.began.age(), 0.0),
        target=record.target,
    )


def file_of(directory: str) -> Path:
    """The file's place.

    Args:
        directory: `[TaskMetadata] Directory`.
    """
    records = Path(directory)
    return records.with_name(f"{records.name}-history")


def append(directory: str, ended: Entry) -> None:
    """Note a job that is over; what fails is left out without a word.

    Args:
        directory: `[TaskMetadata] Directory`.
        ended: the job.
    """
    fields = ended._asdict()
    fields = {k: v[:_LONGEST] if isinstance(v, str) else v for k, v in fields.items()}
    fields["target"] = {name: getattr(ended.target, name) for name in Target.__slots__}
    with contextlib.suppress(OSError), _locked(file_of(directory)) as file:
        size = os.fstat(file).st_size
        cut = size and os.pread(file, 1, size - 1) != b"\n"
        line = json.dumps(fields).encode() + b"\n"
        # One write: a reader sees all of it or none.
        os.write(file, b"\n" + line if cut else line)
        if size > LARGEST:
            _shorten(file_of(directory))


def read(directory: str) -> list[Entry]:
    """The jobs that are over, in the order of their ends; of damaged lines none.

    Args:
        directory: `[TaskMetadata] Directory`.
    """
    try:
        lines = file_of(directory).read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = (_parse(line) for line in lines)
    return [one for one in found if one]


def _parse(line: str) -> Entry | None:
    try:
        fields = json.loads(line)
        found = Entry(**fields | {"target": Target(**fields["target"])})
        texts = (found.target.region, found.target.cluster, *found[:_TEXTS])
        fits = all(isinstance(value, str) for value in texts)
        fits = fits and all(isinstance(value, int | float) for value in found[_TEXTS:-1])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if fits else None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open and lock the file, which another process may replace meanwhile.

    Raises:
        OSError: it can't be had, or not in time.
    """
    deadline = time.monotonic() + _PATIENCE
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        file = os.open(path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), path.stat()):
                break
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
    try:
        yield file
    finally:
        os.close(file)


def _shorten(path: Path) -> None:
    """Leave the latest jobs, in another file that takes the place; the caller has the lock."""
    young = time.time() - OLDEST
    kept: list[bytes] = []
    room = LARGEST // 2
    for line in reversed(path.read_bytes().splitlines(keepends=True)):
        one = _parse(line.decode(errors="replace"))
        room -= len(line)
        if one and one.began > young and room > 0:
            kept.append(line)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - by descriptor, for its mode
        file.write(b"".join(reversed(kept)))
    new.replace(path)
