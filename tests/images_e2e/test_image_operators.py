"""What operators do with jobs in images: look into a running one, and end a lost one."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import image_jobs
import image_kinds
import recorded_calls
from driver_calls import JobCalls
from image_kinds import ODD_UID, ODD_VARIABLE
from local_fargate import FARGATE, until
from tmux import terminal

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

    # What runs there ends with those who look at it.
    shell = ("shell", "4711", "--", "busybox", "sh", "-c")
    command = [*FARGATE, "--config", str(fargate.config), *shell]
    loop = "echo $$ >1; while :; do echo y; done"
    with subprocess.Popen([*command, loop], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 141
    with terminal(tmp_path, [*command, "echo $$ >2; echo begun; exec sleep 1000"]) as screen:
        screen.wait_for("begun")
    ended = "[ -s 1 ] && [ -s 2 ] && ! kill -0 $(cat 1) && ! kill -0 $(cat 2)"
    until(lambda: call(fargate, *shell, ended).returncode == 0)

    assert call(fargate, "reap").stdout == ""
    shutil.rmtree(job.temporary)
    assert "removed its temporary directory" in call(fargate, "reap").stdout
    until(lambda: not fargate.alive())


def test_a_service_that_dies_later_is_told_by_the_script_that_fails(
    fargate: LocalFargate, store: Path, tmp_path: Path
) -> None:
    image_kinds.add(store, "alone")
    services = [
        image_jobs.service("late", AFTER="/builds/end", DIE="4"),
        image_jobs.service("early", DIE="3"),
        image_jobs.service("living"),
    ]
    image = {"name": image_kinds.NAMES["alone"]}
    job = JobCalls(tmp_path / "t", fargate.config, 4712, image=image, services=services)
    prepared = job.call("prepare", CI_PROJECT_DIR=FOLDER)
    assert prepared.returncode == 0
    assert prepared.stderr.count("ended: its container is STOPPED, exit code 3") == 1

    def run(text: str, stage: str = "build_script") -> subprocess.CompletedProcess[str]:
        return job.call("run", job.script(text), stage)

    assert run("touch /builds/end").returncode == 0

    def late() -> str:
        (found,) = fargate.alive()
        states = {one["name"]: str(one["lastStatus"]) for one in found["containers"]}
        return states["service-1-late"]

    until(lambda: late() == "STOPPED")
    # It is no matter of the helper's stages, of those that succeed, or of ECS's being there.
    assert "ended" not in run("exit 1", "get_sources").stderr + run("exit 0").stderr
    failed = run("exit 7")
    assert failed.returncode == 1
    told = [line for line in failed.stderr.splitlines() if "ended while scripts ran" in line]
    assert len(told) == 1, failed.stderr
    assert "its container is STOPPED, exit code 4" in told[0]
    assert "its log can't be shown: its container has no logConfiguration" in failed.stderr
    assert "ended" not in run("exit 7").stderr
    assert job.call("cleanup").returncode == 0
    until(lambda: not fargate.alive())
