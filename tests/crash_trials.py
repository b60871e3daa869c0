"""Jobs whose driver is killed somewhere, each with a manager of its own; what is left of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import killed_driver
import recorded_calls
from driver_calls import JobCalls
from fargate_driver.ecs.launch import started_by
from fargate_driver.settings import TaskMetadata
from local_fargate import MARKER, processes_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_fargate import LocalFargate

KILLED = (-9, -14)
"""By SIGKILL, or by the timer of killed_driver."""

CAPACITY = ("FARGATE_SPOT", "FARGATE")
"""In the order in which the driver tries them."""


class Drivers:
    """Runs drivers one after the other (see killed_driver)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", killed_driver.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, **request: Any) -> int:
        """Run one and give its exit status."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return int(stdout.readline())

    def close(self) -> None:
        """End, once nothing runs."""
        self._process.communicate()


class Trial:
    """One job on a Fargate that others use too.

    It has a `[TaskMetadata] Directory` of its own, lest another job's prepare ends what it left.
    """

    def __init__(self, fargate: LocalFargate, drivers: Drivers, name: str, number: int) -> None:
        self.directory = fargate.directory / "trials" / name
        self.metadata = self.directory / "jobs"
        self.ran = self.directory / "ran"
        self._fargate = fargate
        self._drivers = drivers
        self.directory.mkdir(parents=True)
        config = self.directory / "fargate.toml"
        shared = fargate.settings["TaskMetadata"]["Directory"]
        text = fargate.config.read_text().replace(shared, str(self.metadata))
        config.write_text(text + "".join(f'\n[[Capacity]]\nProvider = "{p}"\n' for p in CAPACITY))
        self._job = JobCalls(self.directory / "tmp", config, number)
        self._script = self._job.script(f"echo ran >>'{self.ran}'\nsleep 0.1\n")

    def call(self, stage: str, kill: str = "") -> int:
        """Call a stage of the driver and give its exit status."""
        what = (self._script, "build_script") if stage == "run" else ()
        return self._drive(("custom", stage, *what), kill)

    def reap(self) -> int:
        """The runner is gone, and some time later `fargate reap` is called."""
        shutil.rmtree(self._job.temporary)
        for job in self.metadata.glob("[0-9]*"):
            if not (job / "record.json").exists():
                # It may be one that begins just now, for an hour.
                os.utime(job, times=(time.time() - 3700,) * 2)
        return self._drive(("reap",), "")

    def break_connection(self) -> None:
        """Kill the ControlMaster, and wait until it is gone."""
        for job in self.metadata.glob("[0-9]*"):
            while found := processes_in(job):
                for pid in found:
                    os.kill(pid, 9)
                time.sleep(0.01)

    def _drive(self, words: Sequence[str], kill: str) -> int:
        here = self._job.temporary if self._job.temporary.exists() else self.directory
        return self._drivers.run(
            words=["--config", str(self._job.config), *words],
            environment=self._job.environment | self._marks(words[0]),
            directory=str(here),
            log=str(self.directory / "log"),
            steps=str(self.directory / "steps"),
            kill=kill,
        )

    def _marks(self, command: str) -> dict[str, str]:
        return {MARKER: self._fargate.marker, **recorded_calls.mark(self._job.config, command)}

    @property
    def steps(self) -> list[str]:
        """Those of the last call."""
        return (self.directory / "steps").read_text().splitlines()

    @property
    def log(self) -> str:
        """What all calls said."""
        return (self.directory / "log").read_text()

    def left(self) -> list[str]:
        """What is still there of the job that must not be, once it is over."""
        settings = self._fargate.settings["TaskMetadata"] | {"Directory": str(self.metadata)}
        mine = started_by(TaskMetadata.model_validate(settings))
        found = [f"task {t['taskArn']}" for t in self._fargate.alive() if t["startedBy"] == mine]
        # The directory of the records itself stays.
        found += [str(path) for path in self.metadata.rglob("*")]
        links = self._job.temporary.glob("fargate-job-*")
        found += [str(path) for path in links]
        if self.ran.exists() and self.ran.read_text() != "ran\n":
            found.append("the script ran twice")
        return found
