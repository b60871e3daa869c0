"""What ends a job in an image before its time, and what is left then: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import image_kinds
from driver_calls import JobCalls
from e2e_jobs import Run, run_job
from image_jobs import image_job
from local_fargate import FARGATE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_fargate import LocalFargate

LEFT = (
    "n=0; for f in /proc/[0-9]*/cmdline; do "
    '  case "$(tr "\\0" " " <"$f" 2>/dev/null)" in "sleep {0}"*) n=$((n+1));; esac; '
    "done; echo left:$n"
)
ENDING = 'until read -r name </proc/1/comm && [ "$name" = ending ]; do sleep 0.1; done'


def masters(fargate: LocalFargate) -> list[int]:
    return [pid for pid, words in fargate.processes().items() if words.startswith("ssh ")]


def calls(fargate: LocalFargate, store: Path, directory: Path, **settings: Any) -> JobCalls:
    """Single calls for a job in an image that has busybox alone."""
    image_kinds.add(store, "alone")
    lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
    directory.mkdir()
    config = directory / "fargate.toml"
    config.write_text(fargate.config.read_text().replace("[Fargate]\n", f"[Fargate]\n{lines}"))
    image = {"name": image_kinds.NAMES["alone"]}
    return JobCalls(directory / "t", config, os.getpid(), image=image)


def test_a_stage_goes_on_after_spots_warning_and_none_follows(
    fargate: LocalFargate, store: Path
) -> None:
    fargate.faults({"task": {"interrupt_after": 20, "grace": 4}})
    script = [f"echo begun; {ENDING}; sleep 1; echo went on; sleep 3535"]
    job = image_job(store, "alone", script, after_script=["echo never"])
    run = run_job(fargate, job)
    assert run.result.status == "system_failure", str(run)
    assert "went on\n" in run.text, str(run)
    assert "never\n" not in run.text, str(run)
    for stage in ("build_script", "after_script"):
        lines = [line for line in run.text.splitlines() if line.startswith(f"fargate: {stage}: ")]
        assert lines[-1].count("SpotInterruption: Your Spot Task was interrupted.") == 1, str(run)


def test_a_script_that_removes_its_image(fargate: LocalFargate, store: Path) -> None:
    """As kaniko does between the stages of a build (docs/building-images.md): all but mounts."""
    wipe = "busybox rm -rf /tmp /etc /bin 2>/dev/null; [ -e /tmp ] || echo wiped; exit 7"
    run = run_job(fargate, image_job(store, "busybox", ["set +e", wipe]))
    assert (run.result.status, run.result.exit_code) == ("script_failure", 7), str(run)
    assert "wiped\n" in run.text, str(run)


def test_lost_connections_to_both_containers(fargate: LocalFargate, store: Path) -> None:
    async def lose(run: Run) -> None:
        await run.log.shows("begun")
        found = masters(fargate)
        assert len(found) == 2
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    script = ["echo begun; for n in 1 2 3 4 5 6; do sleep 0.5; echo line $n; done; echo >x; exit 7"]
    cache = [{"key": "k", "paths": ["x"], "policy": "push", "when": "always"}]
    run = run_job(fargate, image_job(store, "alone", script, cache=cache), lose)
    assert (run.result.status, run.result.exit_code) == ("script_failure", 7), str(run)
    assert "connected again" in run.text, str(run)
    for number in range(1, 7):
        assert run.text.count(f"line {number}\n") == 1, str(run)
    assert "Created cache" in run.text, str(run)


def test_gracefully_cancelled(fargate: LocalFargate, store: Path) -> None:
    async def cancel(run: Run) -> None:
        await run.log.shows("begun")
        run.runner.cancel()

    # 300 kB of a script, too.
    padding = "".join(f": {number:06} {'x' * 90}\n" for number in range(3000))
    script = f"{padding}trap '' TERM; touch here; sleep 3636 & sleep 3636 & echo begun; wait"
    after = ["echo after $CI_JOB_STATUS", "test -e here", LEFT.format(3636)]
    run = run_job(fargate, image_job(store, "odd", [script], after_script=after), cancel)
    assert run.result.status == "canceled", str(run)
    for expected in ("after canceled", "left:0\n"):
        assert expected in run.text, str(run)


def test_lifetime_is_over(fargate: LocalFargate, store: Path, tmp_path: Path) -> None:
    job = calls(fargate, store, tmp_path / "job", MaxLifetime=25)
    assert job.call("prepare").returncode == 0
    ran = job.call("run", job.script("echo begun; sleep 600"), "build_script")
    assert (ran.returncode, ran.stdout) == (2, "begun\n"), ran.stderr
    assert "exit code 124" in ran.stderr, ran.stderr
    assert "MaxLifetime" in ran.stderr, ran.stderr
    assert job.call("cleanup").returncode == 0
    fargate.assert_nothing_left()


def test_a_terminal_where_busybox_is_all(
    fargate: LocalFargate, store: Path, tmp_path: Path
) -> None:
    job = calls(fargate, store, tmp_path / "job")
    assert job.call("prepare").returncode == 0
    shown = []
    for words in (["sh", "-c", "echo $0 $1", "a", "b c"], ["echo", "a  b"], ["nothing"]):
        command = [*FARGATE, "--config", str(job.config), "shell", "--", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        shown.append((done.returncode, done.stdout + done.stderr))
    assert job.call("cleanup").returncode == 0
    missing = "fargate: the container has no program nothing\n"
    assert shown == [(0, "a b c\n"), (0, "a  b\n"), (127, missing)]


def test_killed_drivers_leave_nothing(fargate: LocalFargate, store: Path, tmp_path: Path) -> None:
    records = Path(fargate.settings["TaskMetadata"]["Directory"])

    def connected(count: int) -> Callable[[], bool]:
        return lambda: len(list(records.glob("*/**/mux"))) >= count

    for number, moment in enumerate([lambda: bool(fargate.alive()), connected(2)]):
        job = calls(fargate, store, tmp_path / str(number))
        with job.start("prepare") as process:
            until(moment)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        assert job.call("cleanup").returncode == 0
        until(lambda: not fargate.alive())
        assert [path for path in records.iterdir() if path.is_dir()] == []
