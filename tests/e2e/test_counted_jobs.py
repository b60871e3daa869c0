"""What real jobs leave: exact metrics, their costs, and a log that GitLab can fold."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from e2e_jobs import new_job, run_job
from local_fargate import FARGATE, LATER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_fargate import LocalFargate


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
        fargate.faults({"operation": "RunTask", "error": "AccessDeniedException", "times": 9})
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
        if call["source"] == "driver":
            key = ("fargate_aws_calls_total", call["operation"], call["outcome"])
            made[key] = made.get(key, 0) + 1
    for key in (k for k in made if k[1] in ("RunTask", "StopTask")):
        assert found[key] == made[key]

    size = r"[0-9.]+ vCPU, [0-9.]+ GB \(.*\)"
    bill = rf"fargate: the task has run for \d+ s with {size}: about \$0\.\d+ on AWS\n"
    assert re.search(rf"{bill}$", passed.text)
    assert re.search(bill, failed.text)
    assert re.search(r" 3 +[0-9ms]+ +\$0\.\d+ +-$", costs, re.MULTILINE), costs

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
    assert all(line["job"] and line["project"] for line in started)
