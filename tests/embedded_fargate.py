"""The embedded Fargate as a process of its own, as users start it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FARGATE = [sys.executable, "-m", "fargate_driver"]


class EmbeddedFargate:
    """A running `fargate local up`."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.config = directory / "fargate.toml"

    def faults(self, *rules: dict[str, Any]) -> None:
        body = json.dumps(list(rules)).encode()
        request = urllib.request.Request(f"{self.url}/_faults", body, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self._get("_calls")
        return [c for c in calls if operation in (None, c["operation"])]

    def tasks(self) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self._get("_tasks")
        return tasks

    def alive(self) -> list[str]:
        return [t["taskArn"] for t in self.tasks() if t["lastStatus"] != "STOPPED"]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=10) as answer:
            return json.load(answer)


@contextlib.contextmanager
def embedded_fargate(directory: Path, *options: str) -> Iterator[EmbeddedFargate]:
    """Start one on a free port; at the end it must stop all of its tasks and exit 0."""
    command = [*FARGATE, "local", "up", "--dir", str(directory), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("ready: "), line
            yield EmbeddedFargate(directory, line.removeprefix("ready: ").strip())
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)
