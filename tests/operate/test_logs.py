"""`fargate logs`, and the hint in the job's log, against the local Fargate's CloudWatch Logs."""

from __future__ import annotations

import socket
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import pytest

from fargate_driver import jobs
from fargate_driver.commands import logs
from local_fargate import LocalFargate, until

if TYPE_CHECKING:
    from collections.abc import Callable

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


def disturb(job: OperatedJob) -> None:
    """Let the container's sshd log a line."""
    records = Path(tomllib.loads(job.config.read_text())["TaskMetadata"]["Directory"])
    (directory,) = records.glob(f"{job.number}-*")
    access = jobs.load_access(str(directory))
    assert access
    with socket.create_connection((access.host, access.port), 10) as connection:
        connection.sendall(b"no SSH\r\n")
        connection.recv(1000)


def test_the_jobs_log_says_how_to_open_a_terminal(job: OperatedJob) -> None:
    (line,) = (line for line in job.prepared.splitlines() if "terminal" in line)
    assert line.endswith(f": fargate --config {job.config} shell {job.number}")


def test_lines_of_the_container(job: OperatedJob) -> None:
    until(lambda: "Accepted publickey" in job.fargate("logs", job.number).stdout)
    assert "Accepted publickey" in job.fargate("logs").stdout  # the only one that runs


def test_on_a_terminal_lines_can_only_be_coloured() -> None:
    hostile = "\x1b[31mred\x1b[0m\t\x1b]0;title\x07x\x1b[2J\rz\x9b2J\x1b[1;5Hä"
    shown = logs.harmless(hostile)
    assert shown == "\x1b[31mred\x1b[0m\t]0;titlex[2Jz2J[1;5Hä"


def test_following_to_the_end_of_the_job(job: OperatedJob) -> None:
    with subprocess.Popen(
        job.command("logs", "--follow", job.number), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        assert any("Accepted publickey" in line for line in lines)
        disturb(job)
        assert any("invalid format" in line for line in lines)
        job.end()
        process.communicate(timeout=60)
    assert process.returncode == 0
    # It is in the history now.
    assert "invalid format" in job.fargate("logs", job.number).stdout


@pytest.mark.usefixtures("job")  # it registers the task definition that is named below
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
