"""Many jobs of one host at once, against AWS's request rates: what they cost ECS and the host.

Starts as many `custom prepare` as asked for at the same moment, on an embedded Fargate that
enforces AWS's rates, then cleans up. Prints one JSON object; exits 1 if a job failed, anything was
left, or AWS was asked more than what is promised.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MOST_DESCRIBES = 1.5
"""DescribeTasks per second, on average over 10 s or more."""
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from driver_calls import JobCalls  # noqa: E402 - the path is set above
from local_fargate import FARGATE, local_fargate  # noqa: E402 - as above


def prepare_all(jobs: list[JobCalls]) -> list[dict[str, Any]]:
    """Run prepare of all jobs at once: exit code, seconds and peak of memory of each."""
    begun = time.monotonic()
    running: dict[int, JobCalls] = {}
    for job in jobs:
        log = (job.temporary / "log").open("wb")
        process = subprocess.Popen(
            [*FARGATE, "--config", str(job.config), "custom", "prepare"],
            cwd=job.temporary,
            env=job.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # As gitlab-runner does it. With sessions of their own, each would get as much of the
            # CPUs as the embedded Fargate (sched(7), autogroup), which would answer in batches.
            process_group=0,
        )
        running[process.pid] = job
    done = []
    while running:
        pid, status, usage = os.wait4(-1, 0)
        if pid in running:
            job = running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if code:
                sys.stderr.write((job.temporary / "log").read_text(errors="replace"))
            seconds = time.monotonic() - begun
            done.append({"code": code, "seconds": seconds, "rss_mib": usage.ru_maxrss / 1024})
    return done


def clean_up(job: JobCalls) -> int:
    """Run cleanup of one job: its exit code."""
    called = job.call("cleanup")
    if called.returncode:
        sys.stderr.write(f"cleanup: {called.stdout}{called.stderr}")
    return called.returncode


def busiest(times: list[float], window: float) -> int:
    """The most calls within a window of that many seconds."""
    ordered = sorted(times)
    return max((sum(t <= u < t + window for u in ordered) for t in ordered), default=0)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, required=True)
    count = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        options = ("--limits", "aws")
        with local_fargate(directory / "fargate", runtime="process", options=options) as fargate:
            jobs = [JobCalls(directory / str(n), fargate.config, n + 1) for n in range(count)]
            prepared = prepare_all(jobs)
            calls = fargate.calls()
            alive = len(fargate.alive())
            with ThreadPoolExecutor(4) as pool:
                cleaned = list(pool.map(clean_up, jobs))
            fargate.assert_nothing_left()
    failed = sum(one["code"] != 0 for one in prepared) + sum(code != 0 for code in cleaned)
    missed = ["a job failed"] if failed or alive != count else []
    measured = rates(calls)
    if measured["DescribeTasks_per_second"] > MOST_DESCRIBES:
        missed.append(f"more than {MOST_DESCRIBES} DescribeTasks per second")
    if measured["RunTask_throttled_after_the_first_second"]:
        missed.append("RunTask throttled after the first second")
    line = {
        "jobs": count,
        "failed": failed,
        "tasks_alive_after_prepare": alive,
        "seconds": round(max(one["seconds"] for one in prepared), 1),
        **measured,
        "driver_peak_mib": round(max(one["rss_mib"] for one in prepared), 1),
        "missed": missed,
    }
    print(json.dumps(line))
    return 1 if missed else 0


def rates(calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What the calls of all drivers were to AWS."""
    launches = [call for call in calls if call["operation"] == "RunTask"]
    first = min(call["time"] for call in launches)
    throttled = [c for c in launches if c["outcome"] == "ThrottlingException"]
    describes = [call["time"] for call in calls if call["operation"] == "DescribeTasks"]
    seconds = max(10.0, max(describes) - min(describes))
    return {
        "outcomes": dict(Counter(f"{c['operation']} {c['outcome']}" for c in calls)),
        "RunTask_in_busiest_second": busiest([call["time"] for call in launches], 1),
        "RunTask_throttled_after_the_first_second": sum(c["time"] > first + 1 for c in throttled),
        "DescribeTasks_per_second": round(len(describes) / seconds, 2),
        "DescribeTasks_in_busiest_10_s": busiest(describes, 10),
    }


if __name__ == "__main__":
    sys.exit(main())
