"""Whether gitlab-runner may have as many files, processes and memory as its jobs need."""

from __future__ import annotations

import re
from pathlib import Path

from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.setup import hosts

_NAME = "gitlab-runner"
_DEFAULT = "/etc/gitlab-runner/config.toml"
"""Of root's, which alone has its limits set by a service's unit."""
_FILES = 10
_PROCESSES = 8
"""Of a job, at most: pipes, logs and connections of gitlab-runner; the driver's call, the masters
of ssh and what they are started by."""
_OWN_FILES = 100
_OWN_PROCESSES = 50
"""Of gitlab-runner itself."""


def look(config: Path, concurrent: int) -> Finding:
    """Compare `concurrent` with the limits of the gitlab-runner that runs here.

    Args:
        config: gitlab-runner's config.toml.
        concurrent: How many jobs the runner takes at once.
    """
    process = _process(config)
    if process is None:
        why = f"no gitlab-runner with {config} runs here, or another user's: its limits are unseen"
        return unchecked("runner-limits", why)
    try:
        return judge(concurrent, _files(process), _processes(process), _memory(process))
    except OSError as error:
        return unchecked("runner-limits", f"gitlab-runner's limits are unseen: {error.strerror}")


def judge(concurrent: int, files: int | None, processes: int | None, memory: int) -> Finding:
    """Compare what the jobs need with what may be had.

    Args:
        concurrent: How many jobs at once.
        files: How many files gitlab-runner may have open; None for any number.
        processes: How many processes its service may have; None for any number.
        memory: How much memory there is for it, in MiB.
    """
    need_files = _OWN_FILES + _FILES * concurrent
    need_processes = _OWN_PROCESSES + _PROCESSES * concurrent
    jobs = f"concurrent = {concurrent}"
    if files is not None and files < need_files:
        mend = f"LimitNOFILE={need_files} in gitlab-runner's systemd unit, or a lower concurrent"
        return wrong("runner-limits", f"{jobs}, but only {files} open files", mend)
    if processes is not None and processes < need_processes:
        mend = f"TasksMax={need_processes} in gitlab-runner's systemd unit, or a lower concurrent"
        return wrong("runner-limits", f"{jobs}, but only {processes} processes", mend)
    need = hosts.memory(concurrent)
    if memory < need:
        found = f"{jobs}, but only {memory} MiB of memory: {need} are taken where all start at once"
        fits = hosts.jobs_in(memory)
        return wrong("runner-limits", found, f"more memory, or concurrent = {fits} at most")
    limits = f"{_told(files)} files, {_told(processes)} processes, {memory} MiB"
    return ok("runner-limits", f"{jobs}; {limits}")


def _told(limit: int | None) -> str:
    return "any number of" if limit is None else str(limit)


def _process(config: Path) -> Path | None:
    """The gitlab-runner of this user or, for root, of any that has read a config.toml."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() != _NAME:
                continue
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            path = Path((process / "cwd").readlink(), _config(words))
            if path.resolve() == config.resolve():
                return process
        except (OSError, ValueError):
            continue  # it has ended, or is another user's
    return None


def _config(words: list[str]) -> str:
    """The file that a command line names, in any spelling of urfave/cli."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name in ("c", "config"):
            return value if equals else following
    return _DEFAULT


def _files(process: Path) -> int | None:
    """The hard limit, which Go programs raise theirs to (https://go.dev/doc/go1.19#os)."""
    limits = (process / "limits").read_text()
    match = re.search(r"^Max open files\s+\S+\s+(\d+)", limits, re.MULTILINE)
    return int(match[1]) if match else None


def _processes(process: Path) -> int | None:
    """The limit of its cgroup."""
    return _of_cgroup(process, "pids.max")


def _memory(process: Path) -> int:
    """What the host has, with swap space, or its cgroup may have; in MiB."""
    found = dict(re.findall(r"^(\w+): +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE))
    host = (int(found["MemTotal"]) + int(found.get("SwapTotal", 0))) // 1024
    most = _of_cgroup(process, "memory.max")
    return host if most is None else min(host, most // 2**20)


def _of_cgroup(process: Path, name: str) -> int | None:
    """A limit of version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html)."""
    for line in (process / "cgroup").read_text().splitlines():
        if line.startswith("0::/"):
            limit = Path("/sys/fs/cgroup", line.removeprefix("0::/"), name)
            text = limit.read_text().strip() if limit.exists() else "max"
            return None if text == "max" else int(text)
    return None
