"""Single calls of the driver, as gitlab-runner makes them; whole jobs are made in tests/e2e."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import no_aws
import recorded_calls
import warm_driver
from local_fargate import FARGATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class JobCalls:
    """The calls of one job: a temporary directory, a job response, an environment."""

    def __init__(self, directory: Path, config: Path, job_id: int, **response: Any) -> None:
        self.temporary = directory
        self.config = config
        self.code_file = directory / "build_exit_code"
        job = {
            "id": job_id,
            "job_info": {"name": "test", "pipeline_id": 500, "project_id": 42},
            "git_info": {
                "repo_url": "https://gitlab-ci-token:t@gitlab.example.com/group/project.git"
            },
            "runner_info": {"timeout": 3600},
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "response.json").write_text(json.dumps(job | response))
        inherited = ("PATH", "HOME", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START")
        self.environment = {k: v for k, v in os.environ.items() if k in inherited} | {
            **no_aws.VARIABLES,
            "TMPDIR": str(directory),
            "BUILD_FAILURE_EXIT_CODE": "1",
            "SYSTEM_FAILURE_EXIT_CODE": "2",
            "BUILD_EXIT_CODE_FILE": str(self.code_file),
            "JOB_RESPONSE_FILE": str(directory / "response.json"),
            "CUSTOM_ENV_CI_JOB_ID": str(job_id),
            # Lines without GitLab's marks, which tests/e2e looks at.
            "NO_COLOR": "1",
        }

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a stage in its own process group, e.g. start("run", SCRIPT, "build_script")."""
        return subprocess.Popen(
            [*FARGATE, *self._words(words)],
            cwd=self.temporary,
            env=self.call_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call_environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The environment of a call, with variables of the job."""
        given = {f"CUSTOM_ENV_{name}": value for name, value in variables.items()}
        return self.environment | given | recorded_calls.mark(self.config)

    def call(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call a stage and wait for it."""
        if words[0] in warm_driver.STAGES:
            environment = self.call_environment(variables)
            return warm_driver.call(self._words(words), environment, self.temporary)
        with self.start(*words, **variables) as process:
            try:
                stdout, stderr = process.communicate(timeout=120)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def _words(self, words: Sequence[str]) -> list[str]:
        return ["--config", str(self.config), "custom", *words]

    def script(self, text: str, name: str = "script") -> str:
        """Write a script as gitlab-runner would and give its path."""
        path = self.temporary / name
        path.write_text(text)
        path.chmod(0o700)
        return str(path)


def skip_unless_contained(job: JobCalls) -> None:
    """Skip where a job's processes are this machine's: for tests that have the driver kill.

    Args:
        job: Prepared; cleaned up where the test is skipped.
    """
    seen = job.call("run", job.script("readlink /proc/self/ns/pid"), "get_sources").stdout
    if seen.strip() == str(Path("/proc/self/ns/pid").readlink()):
        assert job.call("cleanup").returncode == 0
        pytest.skip("tasks have no PID namespace of their own here")
