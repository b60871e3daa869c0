from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fargate_driver.ecs.verdict_table import ROWS

ROOT = Path(__file__).parents[2]


def test_the_page_fits_the_table() -> None:
    # What scripts/docs --check runs, without its set-up of .venv.
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "verdict_docs.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_has_every_verdict_and_keeps_what_is_written_by_hand() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    for row in ROWS:
        assert f"| `{row.name}`" in page
    for title in ("## In the job log", "## In gitlab-runner's own log", "## Scripts"):
        assert title in page
