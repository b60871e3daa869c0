"""The short form of scripts/soak: jobs struck by random faults keep their verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.timeout(600)
def test_short_soak() -> None:
    # This seed strikes 12 jobs, in every way but those that take a minute.
    words = ["--jobs", "20", "--at-once", "10", "--faults", "0.5", "--seed", "175"]
    soak = subprocess.run(
        [sys.executable, SOAK, *words], capture_output=True, text=True, check=False
    )
    assert soak.returncode == 0, soak.stdout
    last = json.loads(soak.stdout.splitlines()[-1])
    assert (last["wrong"], last["left"]) == (0, []), soak.stdout
    assert last["struck"] > 5
