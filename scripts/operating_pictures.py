"""Makes docs/jobs.svg and docs/shell.svg from jobs that really run: a tmux's screens, drawn.

`.venv/bin/python scripts/operating_pictures.py`; it needs tmux.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from local_fargate import local_fargate  # noqa: E402 - the path is set above
from operated_job import OperatedJob  # noqa: E402 - as above
from tmux import Terminal, terminal  # noqa: E402 - as above

JOBS = (("test", "group/shop"), ("lint", "group/shop"), ("build", "group/website"))


def main() -> None:
    """Run some jobs and draw what an operator sees of them."""
    with tempfile.TemporaryDirectory() as name, local_fargate(Path(name, "fargate")) as fargate:
        running = []
        for number, (job, project) in enumerate(JOBS, 48151623):
            folder = Path(name, str(number))
            info = {"name": job, "pipeline_id": 500, "project_id": 42, "project_full_path": project}
            running.append(OperatedJob(folder, fargate.config, number, info=info))
        running[0].finish_stage()
        running[0].call("cleanup", CI_JOB_STATUS="failed")
        command = running[1].command("jobs", "--watch")
        with terminal(Path(name), command, width=80, height=9) as shown:
            shown.wait_for("failed")
            draw(shown, "fargate jobs --watch", "jobs")
            shown.send("C-c")
        with terminal(Path(name), running[1].command("shell", "48151624"), height=18) as shown:
            time.sleep(2)
            for line in (
                "PS1='job # '; clear",
                "pwd; whoami",
                "env | grep -c ^CI_",
                "tput setaf 2; df -h .; tput sgr0",
            ):
                shown.type(line)
                time.sleep(1)
            draw(shown, "fargate shell 48151624", "shell")
        for job_ in running[1:]:
            job_.end()


def draw(shown: Terminal, title: str, name: str) -> None:
    """Draw a terminal's screen."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - not a path
        console = Console(record=True, width=80, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(shown.screen(colours=True).rstrip()))
    picture = console.export_svg(title=title)
    # Without the web fonts that rich names: a picture must not call elsewhere.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (ROOT / "docs" / f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    main()
