"""What a stage costs, as whole processes, against fresh connections in the same run.

Prints one JSON object per line. Ratios are to `go`, what a driver in Go does for a stage (built
from go-baseline where Go is installed), and to `ssh`, a fresh connection of OpenSSH's client. All
run the same script against the same sshd; rounds are interleaved, since machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from driver_calls import JobCalls  # noqa: E402 - the path is set above
from fargate_driver.jobs import load_access  # noqa: E402 - as above
from local_fargate import LocalFargate, local_fargate  # noqa: E402 - as above

FARGATE = ROOT / ".venv" / "bin" / "fargate"


def baseline_in_go(directory: Path) -> Path | None:
    """Build the baseline; None, said aloud, where there is no Go."""
    if not shutil.which("go"):
        print("no go on PATH: the baseline `go` is left out", file=sys.stderr)
        return None
    binary = directory / "go-baseline"
    subprocess.run(
        ["go", "build", "-o", binary, "."], cwd=ROOT / "benchmarks/go-baseline", check=True
    )
    return binary


def commands(job: JobCalls, fargate: LocalFargate, directory: Path) -> dict[str, list[str]]:
    """The competitors: name and command line."""
    (where,) = (fargate.directory / "fargate-local" / "jobs").glob("[0-9]*")
    access = load_access(str(where))
    if not access:
        sys.exit("prepare left no access")
    script = job.script("echo hello\n")
    pinned = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    kex = ["-o", "KexAlgorithms=curve25519-sha256", "-o", "LogLevel=ERROR"]
    key = ["-i", str(where / "key"), "-o", "IdentitiesOnly=yes", "-p", str(access.port)]
    destination = f"{access.user}@{access.host}"
    found = {
        "python": [sys.executable, "-c", "pass"],
        "run": [str(FARGATE), "--config", str(job.config), "custom", "run", script, "build_script"],
        "config": [str(FARGATE), "--config", str(job.config), "custom", "config"],
        "ssh": ["ssh", "-F", "none", *pinned, *kex, *key, destination, "echo hello"],
    }
    binary = baseline_in_go(directory)
    if binary:
        address = f"{destination}:{access.port}"
        found["go"] = [str(binary), address, str(where / "key"), script]
    return found


def measure(command: list[str], job: JobCalls) -> tuple[float, float]:
    """Wall and CPU milliseconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(
        command,
        cwd=job.temporary,
        env=job.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with local_fargate(directory / "fargate") as fargate:
            job = JobCalls(directory / "job", fargate.config, 1)
            prepared = job.call("prepare")
            if prepared.returncode:
                sys.exit(prepared.stderr)
            competitors = commands(job, fargate, directory)
            samples: dict[str, list[tuple[float, float]]] = {name: [] for name in competitors}
            for _ in range(rounds):
                for name, command in competitors.items():
                    samples[name].append(measure(command, job))
            job.call("cleanup")
    medians = {name: statistics.median(w for w, _ in found) for name, found in samples.items()}
    for name, found in samples.items():
        line = {
            "name": name,
            "rounds": rounds,
            "wall_ms": round(medians[name], 1),
            "wall_ms_min": round(min(w for w, _ in found), 1),
            "cpu_ms": round(statistics.median(c for _, c in found), 1),
            "wall_to_go": round(medians[name] / medians["go"], 2) if "go" in medians else None,
            "wall_to_ssh": round(medians[name] / medians["ssh"], 2),
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
