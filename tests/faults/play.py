"""Plays a case of the fault matrix with the real driver on a real local Fargate."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from driver_calls import JobCalls
from faults.case import BRIEF
from local_fargate import processes_in, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from faults.case import Act, Case, Result
    from local_fargate import LocalFargate

TIME_SCALE = 0.1
_AIMS = (15.0, 60.0, 240.0)
"""Seconds after RUNNING, to be scaled: a busy machine may reach a phase late."""
_JOB_IDS = itertools.count(os.getpid() * 1000)
_RESULTS: dict[int, Result] = {0: "success", 1: "script_failure", 2: "system_failure"}
"""Exit codes as gitlab-runner reads them (runner-contract: BUILD_FAILURE_EXIT_CODE=1,
SYSTEM_FAILURE_EXIT_CODE=2)."""


class Played(NamedTuple):
    """What came of a case."""

    result: Result
    script_code: int | None
    cleanup: int
    tasks: list[dict[str, Any]]
    log: str
    """Of the job; where cleanup is struck its stderr follows, which the runner's log has."""


class _MissedError(Exception):
    """The rule struck before the phase that it was aimed at."""


def play(case: Case, fargate: LocalFargate, directory: Path) -> Played:
    """Play a case to its end: the rules are gone afterwards, and the job is cleaned up."""
    for number, aim in enumerate(_AIMS):
        try:
            return _Job(case, fargate, directory / str(number), aim).play()
        except _MissedError:
            continue
    raise AssertionError("this machine is too slow to reach the phase in time")


class _Job:
    def __init__(self, case: Case, fargate: LocalFargate, directory: Path, aim: float) -> None:
        self._case = case
        self._fargate = fargate
        self._aim = aim
        self._known = {task["taskArn"] for task in fargate.tasks()}
        directory.mkdir()
        config = directory / "fargate.toml"
        more = f"[Fargate]\nStartTimeout = {case.start_timeout}\n{case.settings}"
        config.write_text(fargate.config.read_text().replace("[Fargate]", more) + case.capacity)
        self._calls = JobCalls(directory / "tmp", config, next(_JOB_IDS))
        self._log = ""
        self._result: Result = "success"

    def play(self) -> Played:
        self._fargate.faults(*self._case.aim(self._aim))
        cleaned = None
        try:
            self._stages()
            code_file = self._calls.code_file
            code = int(code_file.read_text()) if code_file.exists() else None
            cleaned = self._calls.call("cleanup")
            if self._case.strikes == "cleanup":
                self._log += cleaned.stderr
            tasks = self._tasks()
            return Played(self._result, code, cleaned.returncode, tasks, self._log)
        finally:
            self._fargate.faults()
            if not cleaned or cleaned.returncode:
                # The cause is mended now.
                assert self._calls.call("cleanup").returncode == 0

    def _stages(self) -> None:
        case = self._case
        prepared = self._take(self._calls.call("prepare", **case.variables))
        if case.strikes in {"stage", "between", "cleanup"}:
            self._reach(prepared)
        elif not prepared:
            return
        if case.later:
            self._fargate.faults(*case.later)
        if case.strikes == "stage":
            self._run(case.script, struck=True)
        elif case.strikes == "between":
            self._run(BRIEF)
            self._await_strike()
            self._run(case.script)
        else:
            self._run(case.script)
            if case.strikes == "cleanup":
                self._await_strike()

    def _run(self, script: str, *, struck: bool = False) -> None:
        """Run a stage; one that is struck must have begun before."""
        with self._calls.start("run", self._calls.script(script), "build_script") as process:
            try:
                if struck:
                    assert process.stdout
                    self._log += (begun := process.stdout.readline())
                    self._reach(begun == "begun\n")
                    self._act()
                stdout, stderr = process.communicate(timeout=150)
            except BaseException:
                process.kill()
                raise
        self._take_output(process.returncode, stdout + stderr)

    def _await_strike(self) -> None:
        """Wait until the fault has struck, after the phase before it has gone well."""
        self._reach(self._result == _RESULTS[0] or self._case.strikes == "cleanup")
        self._act()
        if not (self._case.aimed or self._case.acts):
            return
        (mine,) = self._tasks()
        rest = mine["startedAt"] + self._aim * TIME_SCALE + 0.2 - time.time()
        time.sleep(max(rest, 0) if self._case.aimed else 0)
        (faults,) = [rule["task"] for rule in self._case.rules] or [{}]
        ends = {"interrupt_after", "container_exits_after"} & faults.keys()
        if ends or "stop the task" in self._case.acts:
            until(lambda: not self._fargate.alive(), lambda: f"alive: {self._fargate.alive()}")

    def _reach(self, reached: bool) -> None:
        """See that the job has come to the phase; a rule that was earlier is aimed again."""
        if self._case.aimed:
            strike = self._tasks()[0].get("startedAt", math.inf) + self._aim * TIME_SCALE
            if time.time() > strike - 0.1:
                raise _MissedError
        assert reached, self._log

    def _act(self) -> None:
        for act in self._case.acts:
            _ACTS[act](self)

    def stop_task(self) -> None:
        """Call StopTask as somebody else does."""
        (mine,) = self._tasks()
        body = {"cluster": mine["clusterArn"], "task": mine["taskArn"]}
        scope = "Credential=x/20260101/us-east-1/ecs/aws4_request"
        headers = {
            "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.StopTask",
            "Authorization": f"AWS4-HMAC-SHA256 {scope}",
        }
        request = urllib.request.Request(self._fargate.url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def kill_ssh(self) -> None:
        """End the job's connection, as a careless hand on the manager does."""
        root = Path(self._fargate.settings["TaskMetadata"]["Directory"])
        (directory,) = [path for path in root.iterdir() if path.is_dir()]
        masters = processes_in(directory)
        assert masters
        for pid in masters:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not processes_in(directory))

    def _tasks(self) -> list[dict[str, Any]]:
        return [task for task in self._fargate.tasks() if task["taskArn"] not in self._known]

    def _take(self, call: subprocess.CompletedProcess[str]) -> bool:
        return self._take_output(call.returncode, call.stdout + call.stderr)

    def _take_output(self, code: int, output: str) -> bool:
        """Note a call; gitlab-runner takes all other exit codes for system failures too."""
        assert code in _RESULTS, (code, output)
        self._log += output
        if self._result == "success":
            self._result = _RESULTS[code]
        return code == 0


_ACTS: dict[Act, Callable[[_Job], None]] = {
    "stop the task": _Job.stop_task,
    "kill ssh": _Job.kill_ssh,
}
