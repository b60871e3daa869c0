"""What real jobs leave: exact metrics, their costs, and a log that GitLab can fold."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from driver_calls import JobCalls
from e2e_jobs import new_job, run_job
from gitlab_server import PROJECT
from local_fargate import FARGATE, LATER, until
from monitoring import expressions
from promql import groupings, selectors, selects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_fargate import LocalFargate

CALLS = "fargate_aws_calls_total"
STARTS = "fargate_starts_total"


def samples(text_file: Path, name: str) -> list[tuple[dict[str, str], float]]:
    """The labels and values of a metric."""
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text_file.read_text())
        for sample in family.samples
        if sample.name == name
    ]


@contextmanager
def configured(fargate: LocalFargate, text_file: Path) -> Iterator[None]:
    """Have metrics, and a log in JSON."""
    before = fargate.config.read_text()
    top = f'LogFile = "{text_file.parent}/driver.log"\nLogFormat = "json"\nLogLevel = "info"\n'
    fargate.config.write_text(f'{top}{before}\n[Metrics]\nTextFile = "{text_file}"\n')
    try:
        yield
    finally:
        fargate.config.write_text(before)


def test_jobs_are_counted_and_billed(fargate: LocalFargate, tmp_path: Path) -> None:
    text_file = tmp_path / "fargate.prom"
    called = len(fargate.calls())
    with configured(fargate, text_file):
        passed = run_job(fargate, new_job(["echo hello"]))
        failed = run_job(fargate, new_job(["exit 3"]))
        fargate.faults({"task": {"interrupt_after": LATER, "grace": 0.1}})
        interrupted = run_job(fargate, new_job(["sleep 60"]))
        throttled = {"operation": "RunTask", "error": "ThrottlingException"}
        refusals = {"operation": "RunTask", "error": "AccessDeniedException", "times": 9}
        fargate.faults(throttled, refusals)
        refused = run_job(fargate, new_job(["true"]))
        fargate.faults()
        costs = subprocess.run(
            [*FARGATE, "--config", str(fargate.config), "jobs", "--cost"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    runs = (passed, failed, interrupted, refused)
    expected = ["success", "script_failure", "system_failure", "system_failure"]
    assert [run.result.status for run in runs] == expected, "".join(str(run) for run in runs)

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text_file.read_text())
        for sample in family.samples
    }
    jobs = {name[1:]: n for name, n in found.items() if name[0] == "fargate_jobs_total"}
    assert jobs == {
        ("success", ""): 1,
        ("script_failure", ""): 1,
        ("system_failure", "spot-interruption"): 1,
    }
    starts = {name[1:]: n for name, n in found.items() if name[0] == "fargate_starts_total"}
    assert starts == {("started", ""): 3, ("failed", "manager-denied"): 3}
    assert found["fargate_tasks_alive",] == 0
    for phase in ("launch", "network", "image_pull", "start", "ssh"):
        assert found["fargate_phase_seconds_count", phase] == 3
    stages = Counter(stage for run in runs for stage in run.result.phases)
    for stage in ("prepare_script", "get_sources", "build_script", "cleanup_file_variables"):
        assert found["fargate_stage_seconds_count", stage] == stages[stage]
    made: dict[tuple[str, str, str], float] = {}
    for call in fargate.calls()[called:]:
        key = ("fargate_aws_calls_total", call["operation"], call["outcome"])
        made[key] = made.get(key, 0) + 1
    counted = {key: n for key, n in found.items() if key[0] == "fargate_aws_calls_total"}
    assert counted == made
    # run asked why the task was interrupted.
    assert made["fargate_aws_calls_total", "DescribeTasks", "ok"] > 0

    size = r"[0-9.]+ vCPU, [0-9.]+ GB \(.*\)"
    bill = rf"fargate: the task has run for \d+ s with {size}: about \$0\.\d+ on AWS\n"
    assert re.search(rf"{bill}$", passed.text)
    assert re.search(bill, failed.text)
    assert re.search(r" 3 +[0-9ms]+ +\$0\.\d+ +-$", costs, re.MULTILINE), costs

    monitored(text_file)
    start = "\x1b[0Ksection_start:1"
    assert passed.text.count(start) == 1
    section = re.search(
        r"\x1b\[0Ksection_start:\d+:([A-Za-z0-9_.-]+)\r\x1b\[0K(.*?)\x1b\[0Ksection_end:\d+:\1\r\x1b\[0K",
        passed.text,
        re.DOTALL,
    )
    assert section
    assert "started task" in section[2]
    # Why a job could not start is not to be folded away.
    assert refused.text.rindex("section_end") < refused.text.rindex("AccessDeniedException")

    lines = [json.loads(line) for line in (tmp_path / "driver.log").read_text().splitlines()]
    started = [line for line in lines if line["msg"].startswith("started task")]
    assert [line["task"] for line in started] == [
        line["msg"].rpartition("/")[2] for line in started
    ]
    # Whichever stage says it: prepare, and run of the job that was interrupted.
    lost = [line for line in lines if line["msg"].startswith("build_script: ")]
    denied = [line for line in lines if "it could not start" in line["msg"]]
    assert (len(started), len(lost), len(denied)) == (3, 1, 3)
    assert lost[0]["task"] == started[2]["task"]
    for line in (*started, *lost, *denied):
        assert line["job"]
        assert line["pipeline"]
        assert line["project"] == PROJECT


def test_a_job_whose_end_fails_is_counted_once(fargate: LocalFargate, tmp_path: Path) -> None:
    text_file = tmp_path / "fargate.prom"
    with configured(fargate, text_file):
        job = JobCalls(tmp_path / "job", fargate.config, 4001)
        assert job.call("prepare").returncode == 0
        script = job.script("exit 0")
        assert job.call("run", script, "build_script").returncode == 0
        fargate.faults({"operation": "StopTask", "error": "AccessDeniedException"})
        done = job.call("cleanup", CI_JOB_STATUS="success")
        assert (done.returncode, "could not be stopped" in done.stderr) == (2, True)
        jobs = samples(text_file, "fargate_jobs_total")
        assert jobs == [({"outcome": "success", "verdict": ""}, 1)]
        assert samples(text_file, "fargate_tasks_alive") == [({}, 1)]
        log = (tmp_path / "driver.log").read_text().splitlines()
        (failed,) = (json.loads(line) for line in log if "could not be stopped" in line)
        until(lambda: len(fargate.alive()) == 1)  # those of earlier tests take a moment to stop
        (task,) = (one["taskArn"].rpartition("/")[2] for one in fargate.alive())
        named = {key: failed[key] for key in ("job", "pipeline", "project", "task")}
        assert named == {"job": 4001, "pipeline": 500, "project": "group/project", "task": task}
        # The runner is gone, and gives its temporary directory up.
        shutil.rmtree(job.temporary)
        fargate.faults({"operation": "ListTasks", "error": "ThrottlingException"})
        command = [*FARGATE, "--config", str(fargate.config), "reap"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "ended job 4001" in done.stdout
    assert samples(text_file, "fargate_jobs_total") == jobs
    assert samples(text_file, "fargate_orphans_reaped_total") == [({}, 1)]
    assert samples(text_file, "fargate_tasks_alive") == [({}, 0)]
    calls = {tuple(labels.values()): n for labels, n in samples(text_file, CALLS)}
    assert (calls["StopTask", "AccessDeniedException"], calls["StopTask", "ok"]) == (1, 1)
    assert (calls["ListTasks", "ThrottlingException"], calls["ListTasks", "ok"]) == (1, 1)


def test_starts_that_were_killed_and_what_they_left(fargate: LocalFargate, tmp_path: Path) -> None:
    text_file = tmp_path / "fargate.prom"
    command = [*FARGATE, "--config", str(fargate.config), "reap"]
    until(lambda: not fargate.alive())  # those of earlier tests take a moment to stop
    with configured(fargate, text_file):
        jobs = [JobCalls(tmp_path / f"job{n}", fargate.config, n) for n in (4003, 4004, 4005)]
        fargate.faults({"operation": "RunTask", "hang": 60, "lose_answer": True, "times": 2})
        for alive, job in enumerate(jobs[:2]):
            with job.start("prepare") as process:
                until(partial(_more_alive, fargate, alive))
                os.killpg(process.pid, signal.SIGKILL)
        denied = {"operation": "StopTask", "error": "AccessDeniedException", "times": 99}
        fargate.faults({"task": {"stop_at": "PENDING"}}, denied)
        assert jobs[2].call("prepare").returncode == 2
        fargate.faults()
        assert jobs[0].call("cleanup", CI_JOB_STATUS="running").returncode == 0
        for job in jobs[1:]:
            shutil.rmtree(job.temporary)
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert said.stdout.count("ended job 400") == 2
    starts = {tuple(labels.values()): n for labels, n in samples(text_file, STARTS)}
    assert starts == {("failed", "killed"): 2, ("failed", "manager-denied"): 1}
    assert samples(text_file, "fargate_jobs_total") == []
    assert samples(text_file, "fargate_orphans_reaped_total") == [({}, 2)]
    until(lambda: not fargate.alive())


def _more_alive(fargate: LocalFargate, n: int) -> bool:
    return len(fargate.alive()) > n


def test_a_textfile_that_can_not_be_written_is_told_once(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    before = fargate.config.read_text()
    fargate.config.write_text(f'{before}\n[Metrics]\nTextFile = "{tmp_path}/none/fargate.prom"\n')
    try:
        job = JobCalls(tmp_path / "job", fargate.config, 4002)
        prepared, ended = job.call("prepare"), job.call("cleanup", CI_JOB_STATUS="success")
    finally:
        fargate.config.write_text(before)
    assert (prepared.returncode, ended.returncode) == (0, 0)
    assert [line for line in prepared.stderr.splitlines() if "TextFile" in line] == [
        f"fargate: warning: [Metrics] TextFile {tmp_path}/none/fargate.prom: can't be updated:"
        " No such file or directory"
    ]
    assert ended.stderr == ""


def monitored(text_file: Path) -> None:
    """What the dashboard and the alerts look at is there, with these labels and values."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text_file.read_text()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    for text in expressions():
        own = [one for one in selectors(text) if one.metric.startswith("fargate_")]
        assert own, text
        labels: set[str] = {"instance", "job"}  # Prometheus' own
        for metric, matchers in own:
            assert metric in found, text
            labels |= found[metric][0].keys()
            for matcher in matchers:
                if matcher[0] in labels - found[metric][0].keys():
                    continue
                values = {one[matcher[0]] for one in found[metric]}
                assert any(selects(matcher, value) for value in values), (text, matcher, values)
        assert groupings(text) <= labels, text
