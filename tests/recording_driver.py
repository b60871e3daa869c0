"""A driver that records what it is given and ends as told: how the fixtures were made, too.

As a program (`python recording_driver.py STAGE…`) it is the driver; RECORDER_DIR holds the plan and
gets a folder per call. As a module it makes plans and reads records.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Recorded:
    """One recorded call."""

    name: str
    folder: Path
    call: dict[str, Any]

    @property
    def env(self) -> dict[str, str]:
        return dict(self.call["env"])

    @property
    def script(self) -> str:
        return (self.folder / "script").read_text()

    @property
    def response(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "job_response.json").read_text()))


def records(folder: Path) -> list[Recorded]:
    """All recorded calls, in order; one that was killed has left no record."""
    return [
        Recorded(path.name.partition("-")[2], path, json.loads((path / "call.json").read_text()))
        for path in sorted(folder.iterdir())
        if (path / "call.json").exists()
    ]


def names(folder: Path) -> list[str]:
    """The names of the recorded calls, in order: config, prepare, run-STAGE, cleanup."""
    return [record.name for record in records(folder)]


def plan(folder: Path, **stages: dict[str, Any]) -> dict[str, str]:
    """Write what each stage shall do; returns the environment that the driver needs.

    A stage's keys: `exit`, `exits` (one code per call, the last one repeated), `code` (what to
    write to BUILD_EXIT_CODE_FILE), `stdout`, `stderr`, `sleep` (seconds, ended by SIGTERM with
    exit code 2), `deaf` (ignores SIGTERM), `background` (seconds for which a child holds stdout),
    `execute` (runs the script).
    """
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(stages))
    return {**os.environ, "RECORDER_DIR": str(folder)}


def main() -> int:
    folder = Path(os.environ["RECORDER_DIR"])
    what = sys.argv[1:]
    name = what[0] if what[0] != "run" else f"run-{what[-1]}"
    stages = json.loads((folder / "plan.json").read_text())
    told = stages.get(what[-1] if what[0] == "run" else what[0], {})
    earlier = [record for record in records(folder) if record.name == name]
    mine = folder / f"{len([p for p in folder.iterdir() if p.is_dir()]) + 1:02}-{name}"
    mine.mkdir()
    signals: list[str] = []
    tmpdir = Path(os.environ["TMPDIR"])
    files = sorted(str(path.relative_to(tmpdir)) for path in tmpdir.rglob("*"))
    with contextlib.ExitStack() as at_end:
        at_end.callback(_record, mine, what, files, signals)
        return _behave(told, len(earlier), what, signals)


def _behave(told: dict[str, Any], earlier: int, what: list[str], signals: list[str]) -> int:
    def on_term(*_: object) -> None:
        signals.append("SIGTERM")
        if not told.get("deaf"):
            raise SystemExit(2)

    signal.signal(signal.SIGTERM, on_term)
    sys.stdout.write(told.get("stdout", ""))
    sys.stderr.write(told.get("stderr", ""))
    sys.stdout.flush()
    if "code" in told:
        Path(os.environ["BUILD_EXIT_CODE_FILE"]).write_text(told["code"])
    if "background" in told:
        subprocess.Popen(["sleep", str(told["background"])], start_new_session=True)
    if "sleep" in told:
        sys.stdout.write("sleeping\n")
        sys.stdout.flush()
        deadline = time.monotonic() + told["sleep"]
        while time.monotonic() < deadline:
            time.sleep(0.01)
    if told.get("execute"):
        code = subprocess.run([what[1]], check=False).returncode
        if code:
            Path(os.environ["BUILD_EXIT_CODE_FILE"]).write_text(str(code))
        return 1 if code else 0
    if "exits" in told:
        exits = told["exits"]
        return int(exits[min(earlier, len(exits) - 1)])
    return int(told.get("exit", 0))


def _record(mine: Path, what: list[str], files: list[str], signals: list[str]) -> None:
    tmpdir = Path(os.environ["TMPDIR"])
    record = {
        "argv": what,
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "process_group_leader": os.getpgrp() == os.getpid(),
        "tmpdir_files": files,
        "response_mode": oct((tmpdir / "response.json").stat().st_mode & 0o777),
        "signals": signals,
    }
    if what[0] == "run":
        record["script_mode"] = oct(Path(what[1]).stat().st_mode & 0o777)
        (mine / "script").write_bytes(Path(what[1]).read_bytes())
    response = Path(os.environ["JOB_RESPONSE_FILE"]).read_bytes()
    (mine / "job_response.json").write_bytes(response)
    # last: whoever sees it sees all of the record
    (mine / "call.json.new").write_text(json.dumps(record))
    (mine / "call.json.new").rename(mine / "call.json")


if __name__ == "__main__":
    sys.exit(main())
