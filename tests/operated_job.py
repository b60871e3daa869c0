"""A job that runs until it is told to end, for those who look at it meanwhile."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import recorded_calls
from driver_calls import JobCalls
from local_fargate import FARGATE, until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT = "/builds/group/project"


class OperatedJob(JobCalls):
    """A job, prepared, whose script waits for a file in its project's folder."""

    def __init__(
        self,
        directory: Path,
        config: Path,
        number: int,
        variables: Mapping[str, str] | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(directory, config, number, **({"job_info": info} if info else {}))
        self.number = str(number)
        prepared = self.call("prepare", CI_PROJECT_DIR=PROJECT, **(variables or {}))
        self.prepared = prepared.stderr
        assert prepared.returncode == 0, prepared.stderr
        script = self.script(
            f"mkdir -p {PROJECT}; cd {PROJECT}; echo $$ >{number}.pid\n"
            f"until [ -e {number}.end ]; do sleep 0.2; done; rm -f {number}.end; exit 3\n"
        )
        self.stage: subprocess.Popen[str] | None = self.start("run", script, "build_script")
        until(lambda: self.fargate("shell", self.number, "--", "cat", f"{number}.pid").stdout)

    def fargate(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """What an operator calls."""
        return subprocess.run(
            self.command(*words),
            env={**os.environ, **recorded_calls.mark(self.config, words[0])},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def command(self, *words: str) -> list[str]:
        return [*FARGATE, "--config", str(self.config), *words]

    def finish_stage(self) -> int:
        """Let the script end; the exit code of `run`."""
        assert self.stage is not None
        self.fargate("shell", self.number, "--", "touch", f"{PROJECT}/{self.number}.end")
        self.stage.communicate(timeout=60)
        code, self.stage = self.stage.returncode, None
        return code

    def end(self) -> None:
        """What the runner does after a cancel."""
        if self.stage is not None:
            self.stage.terminate()
            self.stage.communicate(timeout=60)
            self.stage = None
        assert self.call("cleanup", CI_JOB_STATUS="canceled").returncode == 0
