"""Calls of the driver for the tests of its front: environment, files and processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import no_aws
from fargate_driver.flags import Flags
from fargate_driver.gitlab.environment import RunnerEnvironment

RECORDED = Path(__file__).parent / "fixtures" / "runner-calls"

MINIMAL = """\
[Fargate]
Cluster = "ci"
Region = "us-east-1"
Subnet = "subnet-0abc"
SecurityGroup = "sg-0abc"
TaskDefinition = "ci-coordinator"
[TaskMetadata]
Directory = "/var/lib/fargate"
[SSH]
Username = "root"
"""


def call_environment(**more: str) -> dict[str, str]:
    """The variables of a call without a job, but for those given."""
    return {"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2", **more}


def environment(**more: str) -> RunnerEnvironment:
    return RunnerEnvironment.from_environ(call_environment(**more))


def flags(**values: Any) -> Flags:
    found = Flags()
    for name, value in values.items():
        setattr(found, name, value)
    return found


def fargate(
    *words: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fargate_driver", *words],
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            **no_aws.VARIABLES,
            **(call_environment() if env is None else env),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
