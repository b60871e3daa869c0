"""Many jobs of one host at once, against AWS's request rates: what they cost ECS and the host.

Starts as many `custom prepare` as asked for at the same moment, on an embedded Fargate that
enforces AWS's rates, then cleans up. Prints one JSON object; exits 1 if a job failed or anything
was left.
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
            start_new_session=True,
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
                cleaned = list(pool.map(lambda job: job.call("cleanup").returncode, jobs))
            fargate.assert_nothing_left()
    times = {
        operation: [call["time"] for call in calls if call["operation"] == operation]
        for operation in ("RunTask", "DescribeTasks")
    }
    describes = times["DescribeTasks"]
    failed = sum(one["code"] != 0 for one in prepared) + sum(code != 0 for code in cleaned)
    line = {
        "jobs": count,
        "failed": failed,
        "tasks_alive_after_prepare": alive,
        "seconds": round(max(one["seconds"] for one in prepared), 1),
        "outcomes": dict(Counter(f"{c['operation']} {c['outcome']}" for c in calls)),
        "RunTask_in_busiest_second": busiest(times["RunTask"], 1),
        "DescribeTasks_per_second": round(
            len(describes) / max(1.0, max(describes) - min(describes)), 2
        ),
        "DescribeTasks_in_busiest_10_s": busiest(describes, 10),
        "driver_peak_mib": round(max(one["rss_mib"] for one in prepared), 1),
    }
    print(json.dumps(line))
    return 1 if failed or alive != count else 0


if __name__ == "__main__":
    sys.exit(main())
