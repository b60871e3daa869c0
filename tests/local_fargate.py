"""Starts `fargate local up` for a test and looks at what became of its tasks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recorded_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FARGATE = (sys.executable, "-m", "fargate_driver")
RUNTIME = os.environ.get("FARGATE_TEST_RUNTIME", "auto")
"""The tier that the end-to-end tests run on: auto, user or process."""
MARKER = "FARGATE_TEST_MARKER"
"""Set for every process of a test's Fargate and drivers, so that what is left can be found."""


LATER = 15.0
"""Seconds from RUNNING to a fault of a task whose job has come to its script by then, on a machine
that is ten times as slow too."""


class LocalFargate:
    """A running `fargate local up`."""

    def __init__(self, directory: Path, url: str, marker: str, pid: int) -> None:
        self.directory = directory
        self.pid = pid
        self.url = url
        self.marker = marker
        self.config = directory / "fargate.toml"
        self.settings: dict[str, Any] = tomllib.loads(self.config.read_text())

    @property
    def driver(self) -> tuple[str, ...]:
        """The driver's command, as gitlab-runner has it."""
        return (*FARGATE, "--config", str(self.config), "custom")

    @property
    def environment(self) -> dict[str, str]:
        """The environment for the driver's calls."""
        return {**os.environ, MARKER: self.marker}

    @property
    def builds_dir(self) -> str:
        """Where jobs find their sources, in the task."""
        return str(self.settings["Fargate"]["BuildsDir"])

    def faults(self, *rules: dict[str, Any]) -> None:
        """Replace the fault rules."""
        self._request("_faults", json.dumps(rules).encode())

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks, stopped ones too."""
        return list(self._request("_tasks"))

    def alive(self) -> list[dict[str, Any]]:
        """The tasks that have not stopped."""
        return [task for task in self.tasks() if task["lastStatus"] != "STOPPED"]

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """All API calls, or those of one operation."""
        calls = self._request("_calls")
        return [call for call in calls if operation in (None, call["operation"])]

    def _request(self, path: str, data: bytes | None = None) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}", data, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def assert_nothing_left(self) -> None:
        """No task, no process of a driver or a task, no record is left: all is over soon."""
        # StopTask returns before the task has stopped, as AWS's does.
        until(lambda: not self.alive(), lambda: f"tasks alive: {self.alive()}")
        until(lambda: not self.processes(), lambda: f"processes left: {self.processes()}")
        metadata = Path(self.settings["TaskMetadata"]["Directory"])
        left = [str(path) for path in metadata.rglob("*") if not path.is_dir()]
        assert not left, f"files left: {left}"

    def processes(self) -> dict[int, str]:
        """What still runs of the driver, ssh, sshd or the jobs; `local up` itself apart."""
        mine = f"{MARKER}={self.marker}".encode()
        directory = str(self.directory).encode()
        found: dict[int, str] = {}
        parents: dict[int, int] = {}
        commands: dict[int, bytes] = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                pid = int(process.name)
                after_name = (process / "stat").read_text().rpartition(")")[2].split()
                command = (process / "cmdline").read_bytes()
                inside = (process / "cwd").readlink().is_relative_to(self.directory)
                environment = (process / "environ").read_bytes().split(b"\0")
                if after_name[0] == "Z":
                    continue
                parents[pid] = int(after_name[1])
                commands[pid] = command
                if command and (inside or mine in environment or directory in command):
                    found[pid] = ""
        for pid in parents:
            ancestor = pid
            while ancestor in parents:
                ancestor = parents[ancestor]
                if ancestor == self.pid:
                    found[pid] = ""
        found.pop(self.pid, None)
        return {pid: commands[pid].replace(b"\0", b" ").decode(errors="replace") for pid in found}


def processes_in(directory: Path) -> list[int]:
    """The processes that work in a directory; in a job's, its connection."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == directory:
                found.append(int(process.name))
    return found


def until(
    condition: Callable[[], object],
    explain: Callable[[], str] = lambda: "it never came to hold",
    seconds: float = 30,
) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(explain())
        time.sleep(0.05)


@contextmanager
def local_fargate(
    directory: Path,
    *,
    path: Path | None = None,
    runtime: str = RUNTIME,
    options: tuple[str, ...] = (),
    images: bool = False,
) -> Iterator[LocalFargate]:
    """Run `fargate local up` in a directory.

    Args:
        directory: Where; made if absent.
        path: A folder with programs for the tasks, put before all others.
        runtime: The tier to run it on.
        options: More options of `fargate local up`.
        images: Whether jobs run in images of their own.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    marker = str(directory)
    search = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    command = ("local", "up", "--dir", str(directory), "--port", "0", "--runtime", runtime)
    with subprocess.Popen(
        [*FARGATE, *command, *options],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": search, MARKER: marker},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().decode()
            assert line.startswith("ready: "), f"local up said {line!r}"
            url = line.removeprefix("ready: ").strip()
            running = LocalFargate(directory, url, marker, process.pid)
            if images:
                running.config = directory / "images.toml"
            yield running
            # Tests may have ended it; at the end of all tests nothing may be missing for that.
            with contextlib.suppress(OSError):
                recorded_calls.keep(running.calls())
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
