"""Makes docs/job-log.svg, the log of a real job: `.venv/bin/python scripts/job_log_picture.py`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
JOB = "echo building; seq 3 | xargs -n1 echo test; echo 'one test failed' >&2; exit 7"


def main() -> None:
    """Run the job and draw its log."""
    command = [sys.executable, "-m", "fargate_driver", "try", "--", "bash", "-c", JOB]
    # One pipe for both: what is said, and when.
    job = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if job.returncode != 7:
        sys.exit(f"the job ended with {job.returncode}, not with 7:\n{job.stdout}")
    # The account and ids are the embedded Fargate's; lines are cut so that the picture stays small.
    log = re.sub(r"runtime: .*\n", "", job.stdout)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - not a path
        console = Console(record=True, width=112, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(f"$ fargate try -- bash -c {JOB!r}\n{log.rstrip()}"))
    picture = console.export_svg(title="a job's log")
    # Without the web fonts that rich names: a picture must not call elsewhere.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (ROOT / "docs" / "job-log.svg").write_text(picture)


if __name__ == "__main__":
    main()
