from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GENERATOR = Path(__file__).parents[2] / "scripts" / "iam_docs.py"


def test_the_rights_are_those_of_init() -> None:
    # What scripts/docs --check runs, without its set-up of .venv.
    done = subprocess.run(
        [sys.executable, GENERATOR, "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
