"""The jobs that people ask about: those of this host's records, and those that are over.

Which stage runs is told by the processes, not by the records: `run` leaves no trace of itself on
disk, and so pays nothing for being seen.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver import history, jobs, records
from fargate_driver.errors import DriverError
from fargate_driver.flags import STAGES
from fargate_driver.owner import why_over

if TYPE_CHECKING:
    from fargate_driver.history import Entry

_PARENTS = ("custom", "c")
_STAGE_OF = {word: name for name, alias, _, _ in STAGES for word in (name, alias) if word}


class Running(NamedTuple):
    """A job whose record is there.

    Attributes:
        entry: What is known of it; its state is "starting", "running", "ending" or "left behind".
        stage: The sub-stage of gitlab-runner that runs, "" between two of them.
        directory: The job's.
    """

    entry: Entry
    stage: str
    directory: str


class Jobs(NamedTuple):
    """All jobs, in the order of their beginnings or ends.

    Attributes:
        running: those whose record is there.
        ended: those of the history.
        unreadable: why records that are there can't be read, a line each.
    """

    running: list[Running]
    ended: list[Entry]
    unreadable: list[str]


def own_jobs(directory: str) -> Jobs:
    """Find the jobs of this host, without a call of AWS.

    Args:
        directory: `[TaskMetadata] Directory`.

    Raises:
        DriverError: The records are another user's, or can't be read.
    """
    _check_owner(directory)
    alive, unreadable = [], []
    for place in jobs.all_directories(directory):
        try:
            if record := records.load(place):
                alive.append(record)
        except DriverError as e:
            unreadable.append(str(e))
    folders = {str(Path(r.owner.temporary).resolve()) for r in alive if r.owner.temporary}
    calls = _calls(folders)
    running = []
    for record in alive:
        call, stage = calls.get(str(Path(record.owner.temporary).resolve()), ("", ""))
        if call != "cleanup" and why_over(record.owner):
            state = "left behind"
        elif call in ("prepare", "cleanup"):
            state = "starting" if call == "prepare" else "ending"
        else:
            state = "running" if call or _is_connected(record.directory) else "starting"
        running.append(Running(history.entry(record, state), stage, record.directory))
    running.sort(key=lambda one: one.entry.began)
    return Jobs(running, history.read(directory), unreadable)


def choose(found: list[Running], wanted: str | None) -> Running:
    """Find the running job that somebody means.

    Args:
        found: All running ones.
        wanted: A job's number, or the beginning of its task's id; None for the only one.

    Raises:
        DriverError: There is no such job, or more than one.
    """
    if wanted is None:
        matching = found
        if not found:
            raise DriverError("no job runs on this host")
    else:
        entries = choose_entries([one.entry for one in found], wanted)
        matching = [one for one in found if one.entry in entries]
        if not matching:
            known = [one.entry for one in found]
            running = ", ".join(one.job for one in known[:10]) or "none"
            hint = meant(known, wanted) or f"; running: {running}"
            raise DriverError(f"no running job {wanted!r} on this host{hint}")
    if len(matching) > 1:
        names = named([one.entry for one in matching])
        raise DriverError(f"which job? name one by its number or its task's id: {names}")
    return matching[0]


def choose_entries(entries: list[Entry], wanted: str) -> list[Entry]:
    """The jobs of that number; where there are none, those whose task's id begins so."""
    by_number = [one for one in entries if one.job == wanted]
    tasks = [one for one in entries if wanted and task_id(one).startswith(wanted)]
    return by_number or tasks


def named(entries: list[Entry]) -> str:
    """Jobs by all that tells them apart."""
    return ", ".join(f"{one.job} (task {task_id(one)})" for one in entries)


def meant(entries: list[Entry], wanted: str) -> str:
    """A question about a number that was mistyped; "" where none is close."""
    close = get_close_matches(wanted[:60], [one.job for one in entries], n=1)
    return f": did you mean {close[0]}?" if close else ""


def task_id(entry: Entry) -> str:
    """The last part of a task's ARN; "" where there is no task yet."""
    return entry.task_arn.rpartition("/")[2]


def _check_owner(directory: str) -> None:
    try:
        owner = Path(directory).stat().st_uid
    except OSError:
        return  # none yet, or told when it is read
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise DriverError(
            f"{directory}: these jobs are of user {name}, and nobody else's to look into; call"
            f" `sudo -u {name} fargate …`"
        )


def _is_connected(directory: str) -> bool:
    with contextlib.suppress(DriverError):
        return jobs.load_access(directory) is not None
    return False


def _calls(folders: set[str]) -> dict[str, tuple[str, str]]:
    """The driver's running calls by the job's temporary directory, which they work in.

    Args:
        folders: The jobs' temporary directories.

    Returns:
        The stage, and its sub-stage.
    """
    found: dict[str, tuple[str, str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            folder = str((process / "cwd").readlink())
            if folder not in folders:
                continue
            call = _call((process / "cmdline").read_bytes())
            # A cleanup that came while another call still runs is what counts.
            if call and found.get(folder, ("",))[0] != "cleanup":
                found[folder] = call
    return found


def _call(command: bytes) -> tuple[str, str] | None:
    """Read a command line: `… custom run SCRIPT STAGE`."""
    words = command.decode(errors="replace").split("\0")
    for position, word in enumerate(words):
        stage, _script, substage = [*words[position + 1 : position + 4], "", "", ""][:3]
        if word in _PARENTS and stage in _STAGE_OF:
            name = _STAGE_OF[stage]
            return name, substage if name == "run" else ""
    return None
