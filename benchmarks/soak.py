"""Many short jobs, some of them struck by random faults: no wrong verdict, nothing left.

Each job's script has a known end, and each job goes through config, prepare, run and cleanup as
gitlab-runner makes it. Prints one JSON object per line: every wrong job, every kind of fault with
what became of its jobs, and at the end the whole. Exits 1 where anything was wrong. The seed
decides which jobs are struck and how; when a fault strikes depends on the machine as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from soak_faults import SPOT, Fault, choose  # noqa: E402 - as above

from fargate_driver.runner.executor import Result, Runner, Timing  # noqa: E402 - set above
from fargate_driver.runner.job import describe  # noqa: E402 - as above
from job_log import KeptLog  # noqa: E402 - as above
from local_fargate import FARGATE, LocalFargate, local_fargate, processes_in  # noqa: E402 - as above

_TIMING = Timing(prepare_pause=0.5)
_NO_FAULT = Fault("none")
_PREPARED = re.compile(r"section_end:[0-9]+:fargate_start")
# Tells who it is, so that it can be killed.
_WITH_PID = 'echo $$ >"$0.new" && mv "$0.new" "$0"; exec "$@"'


@dataclass
class SoakJob:
    """One job and what is known of it."""

    number: int
    fault: Fault
    code: int
    seconds: float
    directory: Path

    def __post_init__(self) -> None:
        self.log = KeptLog()
        self.marks = self.directory / f"{self.number}.marks"
        self.pid = self.directory / f"{self.number}.pid"
        self.result = Result("system_failure")

    @property
    def script(self) -> list[str]:
        """Leaves a mark when it begins and when it ends, and takes its time between them."""
        return [
            f"echo begun >>{self.marks}; echo this is {self.number}",
            f"sleep {self.seconds:.2f}",
            f"echo ended >>{self.marks}; echo end of {self.number}",
            f"exit {self.code}",
        ]

    def wrong(self) -> str:
        """What is wrong with how it ended; "" for nothing."""
        marks = self.marks.read_text().split() if self.marks.exists() else []
        said = (self.result.status, self.result.exit_code)
        if marks.count("begun") > 1:
            return f"the script ran {marks.count('begun')} times"
        if said == ("script_failure" if self.code else "success", self.code):
            printed = self.log.text.splitlines()
            heard = f"this is {self.number}" in printed and f"end of {self.number}" in printed
            whole = marks == ["begun", "ended"] and heard
            return "" if whole else f"{said}, but the script did not come to its end: {marks}"
        may_be = {
            ("system_failure", None): self.fault.fatal,
            ("script_failure", self.fault.killed): self.fault.killed is not None,
            ("canceled", None): self.fault.act in ("abort", "cancel"),
        }
        return "" if may_be.get(said) else f"{said} instead of {self.code}"


class Soak:
    """All jobs, on one embedded Fargate.

    Args:
        fargate: Where they run.
        at_once: How many at the same time.
    """

    def __init__(self, fargate: LocalFargate, at_once: int) -> None:
        self._fargate = fargate
        self._slots = asyncio.Semaphore(at_once)
        self._starting = asyncio.Lock()
        """One rule list is in force at a time: until the job that it is for is prepared, since
        another start of that job would be struck by the next list."""
        self._metadata = Path(fargate.settings["TaskMetadata"]["Directory"])
        self._spot = fargate.directory / "spot.toml"
        capacity = "".join(f'\n[[Capacity]]\nProvider = "{p}"\n' for p in (SPOT, "FARGATE"))
        self._spot.write_text(fargate.config.read_text() + capacity)
        self._done = 0
        self.wrong = 0

    async def run(self, job: SoakJob) -> None:
        """Run a job to its end."""
        struck = job.fault is not _NO_FAULT
        driver = (*FARGATE, "--config", str(self._spot if struck else self._fargate.config))
        runner = Runner(
            ("/bin/sh", "-c", _WITH_PID, str(job.pid), *driver, "custom"),
            describe(job.script, job_id=job.number, project=f"group/project{job.number}"),
            job.log,
            environment=self._fargate.environment,
            timing=_TIMING,
        )
        if not job.fault.rules:
            job.result = await self._disturbed(job, runner)
            return
        async with self._starting:
            await asyncio.to_thread(self._fargate.faults, *job.fault.rules)
            running = asyncio.create_task(self._disturbed(job, runner))
            while not (running.done() or _PREPARED.search(job.log.text)):
                await asyncio.sleep(0.05)
            if not any("task" in rule for rule in job.fault.rules):
                # Other calls are made by whoever is next, and nobody may fail for it.
                await asyncio.sleep(0.5)
        job.result = await running

    async def run_and_tell(self, job: SoakJob) -> None:
        """Run a job and print what is wrong with it."""
        async with self._slots:
            await self.run(job)
        self._done += 1
        problem = job.wrong()
        if problem:
            self.wrong += 1
            log = "\n".join([*job.log.messages, job.log.text[-2000:]])
            line = {"wrong": problem, "job": job.number, "fault": str(job.fault), "log": log}
            print(json.dumps(line), flush=True)
        if self._done % 100 == 0:
            print(json.dumps({"done": self._done, "wrong": self.wrong}), flush=True)

    async def _disturbed(self, job: SoakJob, runner: Runner) -> Result:
        acting = asyncio.create_task(self._act(job, runner)) if job.fault.act else None
        try:
            return await runner.run()
        finally:
            if acting:
                acting.cancel()

    async def _act(self, job: SoakJob, runner: Runner) -> None:
        await asyncio.sleep(job.fault.after)
        if job.fault.act == "abort":
            runner.abort()
        elif job.fault.act == "cancel":
            runner.cancel()
        elif job.fault.act == "kill driver":
            await self._kill_driver(job)
        else:
            await self._kill_connection(job)

    async def _kill_driver(self, job: SoakJob) -> None:
        while True:
            if job.pid.exists():
                pid = int(job.pid.read_text())
                command = Path(f"/proc/{pid}/cmdline")
                # It is a driver's, unless that one has ended: then there is another one soon.
                if command.exists() and b"fargate_driver" in command.read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return
            await asyncio.sleep(0.01)

    async def _kill_connection(self, job: SoakJob) -> None:
        while True:
            for directory in self._metadata.glob(f"{job.number}-*"):
                if (directory / "access").exists():
                    for pid in processes_in(directory):
                        os.kill(pid, signal.SIGKILL)
                    return
            await asyncio.sleep(0.05)

    def left(self, jobs: list[SoakJob]) -> list[str]:
        """What is left that a job has to answer for: nobody killed its driver."""
        may_leave = {job.number for job in jobs if job.fault.act == "kill driver"}
        found = {int(place.name.partition("-")[0]) for place in self._metadata.glob("[0-9]*")}
        return [f"job {number} left its record" for number in sorted(found - may_leave)]

    def reap(self) -> list[str]:
        """End what killed drivers left, and look for anything that is left then."""
        command = [*FARGATE, "--config", str(self._fargate.config), "reap"]
        reaped = subprocess.run(
            command, env=self._fargate.environment, capture_output=True, text=True, check=False
        )
        # A task that no record spoke of.
        left = [line for line in reaped.stdout.splitlines() if line.startswith("stopped ")]
        try:
            self._fargate.assert_nothing_left()
        except AssertionError as e:
            left.append(f"{e}\n{reaped.stdout}{reaped.stderr}")
        return left


def make_jobs(arguments: argparse.Namespace, directory: Path) -> list[SoakJob]:
    """Decide by the seed what each job does, and what is done to it."""
    seeded = random.Random(arguments.seed)  # noqa: S311 - to be repeated, not to be secret
    made = []
    for number in range(1, arguments.jobs + 1):
        fault = choose(seeded) if seeded.random() < arguments.faults else _NO_FAULT
        code = 0 if seeded.random() < 0.7 else seeded.choice([1, 2, 7, 42, 137, 143, 255])
        made.append(SoakJob(number, fault, code, seeded.uniform(0, 1), directory))
    return made


def print_kinds(jobs: list[SoakJob]) -> None:
    """Print what became of the jobs of each fault."""
    kinds: dict[str, Counter[str]] = {}
    for job in jobs:
        kinds.setdefault(job.fault.name, Counter())[job.result.status] += 1
    for name, results in sorted(kinds.items()):
        print(json.dumps({"fault": name, "jobs": results.total()} | dict(results)))


def main() -> int:
    """Run the jobs and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--faults", type=float, default=0.05, help="the share of struck jobs")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    arguments = parser.parse_args()
    # Ended early, it takes its Fargate and the tasks with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        marks = directory / "marks"
        marks.mkdir()
        with local_fargate(directory / "fargate", runtime="process") as fargate:
            jobs = make_jobs(arguments, marks)

            async def run_all() -> Soak:
                soak = Soak(fargate, arguments.at_once)
                await asyncio.gather(*(soak.run_and_tell(job) for job in jobs))
                return soak

            soak = asyncio.run(run_all())
            fargate.faults()
            left = soak.left(jobs) + soak.reap()
            tasks = len(fargate.tasks())
    print_kinds(jobs)
    struck = sum(job.fault is not _NO_FAULT for job in jobs)
    summary = {"jobs": len(jobs), "at_once": arguments.at_once, "seed": arguments.seed}
    summary |= {"struck": struck, "tasks": tasks, "wrong": soak.wrong}
    print(json.dumps(summary | {"left": left, "seconds": round(time.monotonic() - begun, 1)}))
    return 1 if soak.wrong or left else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("ended early: nothing is said of the jobs that were running")
