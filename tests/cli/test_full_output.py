"""Where the driver's own output can't be written, exit codes are what they would be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from driver_calls import JobCalls
from front_calls import MINIMAL

if TYPE_CHECKING:
    from pathlib import Path

# Each writes a warning about the key to the log, hence to stderr.
SETTINGS = f'LogLevel = "debug"\nNonsense = 1\n{MINIMAL}'
CALLS = [
    # What is called, and its exit code where stdout and where stderr can't be written.
    ("custom config", 2, 0),  # its answer is for gitlab-runner
    ("custom prepare", 2, 2),
    ("custom run SCRIPT build_script", 2, 2),
    ("--debug custom run SCRIPT build_script", 2, 2),
    ("custom cleanup", 0, 0),
    ("--version", 2, 0),
    ("--help", 2, 0),
    ("jobs", 2, 0),
    ("prices", 2, 0),
    ("--nonsense", 2, 2),
]


@pytest.mark.parametrize(("words", "without_stdout", "without_stderr"), CALLS)
def test_exit_codes(tmp_path: Path, words: str, without_stdout: int, without_stderr: int) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text(SETTINGS.replace("/var/lib/fargate", str(tmp_path)))
    # Without PYTHONUNBUFFERED, and prepare finds no credentials to call AWS with (tests/no_aws.py).
    environment = JobCalls(tmp_path, config, 1).environment
    codes = []
    for redirection in (">/dev/full", "2>/dev/full", ">&- 2>&-"):
        line = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m"]
        done = subprocess.run(
            [*line, "fargate_driver", "--config", str(config), *words.split()],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr or "--debug" in words
        assert "Exception ignored" not in done.stderr
        codes.append(done.returncode)
    assert codes[:2] == [without_stdout, without_stderr]
    assert codes[2] == without_stderr  # closed: as if nobody read


@pytest.mark.parametrize("words", ["--version", "--help", "jobs", "prices"])
def test_without_a_reader_it_is_silent(tmp_path: Path, words: str) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text(MINIMAL.replace("/var/lib/fargate", str(tmp_path)))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fargate_driver", "--config", str(config), *words.split()],
        env=JobCalls(tmp_path, config, 1).environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
