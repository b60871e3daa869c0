"""`fargate logs`, and the hint in the job's log, against the local Fargate's CloudWatch Logs."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import botocore.session
import pytest

from local_fargate import LocalFargate, until
from tmux import terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from operated_job import OperatedJob

    MakeJob = Callable[..., OperatedJob]


@pytest.fixture(scope="module")
def job(make_job: MakeJob, fargate: LocalFargate) -> OperatedJob:
    """A job whose container logs."""
    settings = fargate.settings["Fargate"]
    ecs = botocore.session.Session().create_client(
        "ecs",
        region_name=settings["Region"],
        endpoint_url=fargate.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    found = ecs.describe_task_definition(taskDefinition=settings["TaskDefinition"])
    given = found["taskDefinition"]
    names = ["requiresCompatibilities", "networkMode", "cpu", "memory", "executionRoleArn"]
    container = given["containerDefinitions"][0]
    options = {
        "awslogs-group": "ci",
        "awslogs-region": "eu-central-1",
        "awslogs-stream-prefix": "job",
    }
    ecs.register_task_definition(
        family="logged",
        containerDefinitions=[
            container | {"logConfiguration": {"logDriver": "awslogs", "options": options}}
        ],
        executionRoleArn="arn:aws:iam::123456789012:role/execution",
        **{name: given[name] for name in names if name in given and name != "executionRoleArn"},
    )
    config = fargate.config.read_text()
    fargate.config.write_text(config.replace("[Fargate]", "[Fargate]\nPrintShellCommand = true"))
    return make_job(FARGATE_TASK_DEFINITION="logged")


def write(job: OperatedJob, text: str) -> None:
    """Write to the container's log."""
    script = f"printf %b {shlex.quote(text)} >/proc/1/fd/2"
    done = job.fargate("shell", job.number, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr


def test_the_jobs_log_says_how_to_open_a_terminal(job: OperatedJob) -> None:
    (line,) = (line for line in job.prepared.splitlines() if "terminal" in line)
    assert line.endswith(f": fargate --config {job.config} shell {job.number}")


def test_lines_of_the_container(job: OperatedJob) -> None:
    write(job, "plain\\n\\033[31mred\\033[0m \\033]0;title\\007x\\n")
    until(lambda: "plain\n" in job.fargate("logs", job.number).stdout)
    raw = job.fargate("logs", job.number).stdout
    assert "\x1b[31mred\x1b[0m \x1b]0;title\x07x\n" in raw


def test_on_a_terminal_lines_can_only_be_coloured(job: OperatedJob, tmp_path: Path) -> None:
    write(job, "\\033[31mred\\033[0m \\033]0;title\\007x\\033[2J\\rz\\n")
    with terminal(tmp_path, job.command("logs", job.number)) as shown:
        shown.wait_for("red ]0;titlex[2Jz")
        assert shown.wait() == 0


def test_following_to_the_end_of_the_job(job: OperatedJob) -> None:
    with subprocess.Popen(
        job.command("logs", "--follow", job.number), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        write(job, "later\\n")
        assert "later\n" in iter(process.stdout.readline, "")
        job.end()
        process.communicate(timeout=60)
    assert process.returncode == 0
    # It is in the history now.
    assert "later\n" in job.fargate("logs", job.number).stdout


def test_what_can_not_be_shown(make_job: MakeJob, fargate: LocalFargate) -> None:
    other = make_job()
    done = other.fargate("logs", other.number)
    assert done.returncode == 2
    assert "has no logConfiguration; only awslogs can be read" in done.stderr
    assert other.fargate("logs", "77").returncode == 2
    logged = make_job(FARGATE_TASK_DEFINITION="logged")
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/ci/i-0abc is not authorized to perform:"
        " logs:GetLogEvents on resource: arn:aws:logs:us-east-1:123456789012:log-group:ci because"
        " no identity-based policy allows the logs:GetLogEvents action"
    )
    fargate.faults(
        {"operation": "GetLogEvents", "error": "AccessDeniedException", "message": message}
    )
    done = logged.fargate("logs", logged.number)
    assert done.returncode == 2
    assert "logs:GetLogEvents" in done.stderr
    fargate.faults()
