"""The processes of a task, as /proc shows them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process at the time of looking."""

    pid: int
    parent: int
    name: str
    state: str
    """One letter, see proc(5): T is stopped, Z a zombie."""


def descendants(root: int) -> dict[int, Process]:
    """Return all descendants of a process, zombies included, parents before their children."""
    children: dict[int, list[Process]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            process = _read(int(entry.name))
            if process is not None:
                children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    parents = [root]
    while parents:
        for process in children.get(parents.pop(), []):
            found[process.pid] = process
            parents.append(process.pid)
    return found


def servers(root: int) -> dict[int, Process]:
    """Return the SSH server of a task, the listener first, and all its processes for connections.

    A server that a script started is none of them.

    Args:
        root: the task's supervisor.
    """
    found: dict[int, Process] = {}
    within: set[int] = set()  # below a server, but none
    for process in descendants(root).values():
        # sshd-session and sshd-auth in OpenSSH 9.8 and newer; sshd-front is the runtimes' own.
        if process.name.startswith("sshd") and process.parent not in within:
            found[process.pid] = process
        elif process.parent in within or process.parent in found:
            within.add(process.pid)
    return found


def largest_of_script(root: int) -> int | None:
    """Return the process of a task's script that uses most memory.

    The SSH session's own process is spared where it has children: it is what waits for the script.

    Args:
        root: the task's supervisor.
    """
    below = descendants(root)
    listening = servers(root)
    if not listening:
        return None  # what runs so far makes the server's keys
    spared = listening.keys() | {p.pid for p in below.values() if p.parent == root}
    parents = {process.parent for process in below.values()}
    depths: dict[int, int] = {}
    candidates: list[tuple[int, int, int]] = []
    for process in below.values():
        if process.pid in spared or process.state == "Z":
            continue
        depth = depths[process.pid] = depths.get(process.parent, 0) + 1
        if depth > 1 or process.pid not in parents:
            # In steps of 8 MiB: of shells and small tools, all alike, the one farthest down.
            candidates.append((_memory(process.pid) >> 23, depth, process.pid))
    return max(candidates)[2] if candidates else None


def _read(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may hold any character.
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    return Process(pid, int(parent), name, state)


def _memory(pid: int) -> int:
    """Return the bytes a process has for itself, 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    sizes = dict(line.split(":", 1) for line in lines)
    return sum(int(sizes.get(key, "0").split()[0]) for key in ("RssAnon", "VmSwap")) * 1024
