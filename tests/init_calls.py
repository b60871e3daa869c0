"""Calls of `fargate init` for tests."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from fargate_driver.setup import questions
from local_fargate import FARGATE

if TYPE_CHECKING:
    from pathlib import Path

    from fargate_driver.setup.plan import Plan
    from fargate_driver.setup.question import Question

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:runner-AbCdEf"
MADE = {
    "region": "eu-central-1",
    "account": "123456789012",
    "vpc": "vpc-0abc0000000000001",
    "subnets": "subnet-0abc0000000000001,subnet-0abc0000000000002",
}
HOSTED = {
    "token_secret": SECRET,
    "driver_package": "git+https://gitlab.example.com/ci/gitlab-fargate-driver.git@v0.1.0",
}
"""Answers for infrastructure that is made."""
THERE = {
    "region": "eu-central-1",
    "account": "123456789012",
    "infrastructure": "none",
    "subnets": "subnet-0abc0000000000001",
    "security_groups": "sg-0abc0000000000001",
    "execution_role": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
    "log_group": "ci",
}
"""Answers for infrastructure that is there."""


def plan(answers: dict[str, str], **more: str) -> Plan:
    """What is set up by these answers, and the defaults."""

    def default(question: Question, suggestion: str | None) -> object:
        assert suggestion is not None, question.flag
        return question.read(suggestion)

    return questions.answer({**answers, **more}, default)


def made(manager: str, **more: str) -> Plan:
    """Infrastructure that is made, with a manager."""
    hosted = {} if manager == "none" else HOSTED
    return plan(MADE, manager=manager, **hosted, **more)


def words(directory: Path, **answers: str) -> list[str]:
    """The command line that asks nothing."""
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in answers.items()]
    return ["init", "--dir", str(directory), "--yes", *flags]


def init(
    directory: Path, *more: str, typed: str | None = None, **answers: str
) -> subprocess.CompletedProcess[str]:
    """Run the command, with --yes unless something is typed."""
    command = words(directory, **answers)
    if typed is not None:
        command.remove("--yes")
    return subprocess.run(
        [*FARGATE, *command, *more],
        input=typed or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
