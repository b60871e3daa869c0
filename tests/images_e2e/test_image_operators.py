"""What operators do with jobs in images: look into a running one, and end a lost one."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import image_kinds
import recorded_calls
from driver_calls import JobCalls
from image_kinds import ODD_UID, ODD_VARIABLE
from local_fargate import FARGATE, until

if TYPE_CHECKING:
    from pathlib import Path

    from local_fargate import LocalFargate

FOLDER = "/builds/group/project"


def call(fargate: LocalFargate, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FARGATE, "--config", str(fargate.config), *words],
        input=stdin,
        env=os.environ | recorded_calls.mark(fargate.config, words[0]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_terminal_in_a_lost_job_and_its_end(
    fargate: LocalFargate, store: Path, tmp_path: Path
) -> None:
    """The image's only shell is busybox, at a place of its own, and its user isn't root."""
    image_kinds.add(store, "odd")
    image = {"name": image_kinds.NAMES["odd"]}
    job = JobCalls(tmp_path / "t", fargate.config, 4711, image=image)
    assert job.call("prepare", CI_PROJECT_DIR=FOLDER).returncode == 0
    script = job.script(f"mkdir -p {FOLDER}; echo of the job >{FOLDER}/file")
    assert job.call("run", script, "build_script").returncode == 0

    words = ("cat", "file")
    assert call(fargate, "shell", "4711", "--", *words).stdout == "of the job\n"
    # Without a command it is the shell that scripts run in.
    shown = call(fargate, "shell", stdin='id -u; pwd; echo "$PATH<$ODD>$CI_JOB_ID"; exit 37\n')
    assert shown.stdout == f"{ODD_UID}\n{FOLDER}\n/odd/programs<{ODD_VARIABLE}>\n"
    assert (shown.returncode, shown.stderr) == (37, "")
    missing = call(fargate, "shell", "--", "bash")
    assert (missing.returncode, missing.stdout) == (127, "")
    assert missing.stderr == "fargate: the container has no program bash\n"

    assert call(fargate, "reap").stdout == ""
    shutil.rmtree(job.temporary)
    assert "removed its temporary directory" in call(fargate, "reap").stdout
    until(lambda: not fargate.alive())
