"""The scripts that a real gitlab-runner generated, run by the driver in a real task."""

from __future__ import annotations

import json
import posixpath
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e_jobs import Run, run_job
from fargate_driver.runner.job import Job

if TYPE_CHECKING:
    from fargate_driver.runner.scripts import Stage
    from gitlab_server import GitLab
    from local_fargate import LocalFargate

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runner-calls"
RECORDED_SHA = "0b14c04a2b86b14378d30cc0266fd6fe2501f9db"


class Recording:
    """One recorded job, made to fit this machine: GitLab's address, the commit, /builds."""

    def __init__(self, name: str, fargate: LocalFargate, server: GitLab) -> None:
        self.folder = FIXTURES / name
        self._fargate = fargate
        self._server = server
        response = (self.folder / "01-config" / "job_response.json").read_text()
        self.job = Job(json.loads(self._fit(response)))

    def script(self, stage: Stage) -> str | None:
        """The recorded script of a stage."""
        found = list(self.folder.glob(f"*-run-{stage.name}/script"))
        return self._fit(found[0].read_text()) if found else None

    def _fit(self, text: str) -> str:
        builds = self._fargate.builds_dir
        cache = posixpath.relpath(
            self._fargate.settings["Fargate"]["CacheDir"], f"{builds}/group/project"
        )
        return (
            text.replace("gitlab.example.com", self._server.host)
            .replace(RECORDED_SHA, self._server.sha)
            .replace("../../../../cache", cache)
            .replace("/builds", builds)
        )


def replay(name: str, fargate: LocalFargate, server: GitLab) -> Run:
    recording = Recording(name, fargate, server)

    async def act(run: Run) -> None:
        await run.log.shows("tick 2")
        (run.runner.abort if name == "aborted" else run.runner.cancel)()

    waits = name in ("aborted", "cancelled-gracefully")
    return run_job(fargate, recording.job, act if waits else None, scripts=recording.script)


def stages(name: str) -> list[str]:
    folders = sorted(path.name.partition("-")[2] for path in (FIXTURES / name).iterdir())
    return [folder.removeprefix("run-") for folder in folders]


@pytest.mark.parametrize(
    ("name", "status", "code", "printed"),
    [
        (
            "all-stages",
            *("success", 0),
            ["hello-ok", "readme of the project", "to-stderr", "Created cache", "after success"],
        ),
        ("script-exits-7", "script_failure", 7, ["before", "after failed"]),
        ("aborted", "canceled", None, ["tick 2"]),
        ("cancelled-gracefully", "canceled", None, ["tick 2", "after-cancel canceled"]),
    ],
)
def test_recorded_job(
    fargate: LocalFargate,
    server: GitLab,
    *,
    name: str,
    status: str,
    code: int | None,
    printed: list[str],
) -> None:
    run = replay(name, fargate, server)
    assert (run.result.status, run.result.exit_code) == (status, code), str(run)
    assert [text for text in printed if f"{text}" not in run.text] == [], str(run)
    assert sorted(run.result.phases) == sorted(stages(name))


def test_recorded_artifacts(fargate: LocalFargate, server: GitLab) -> None:
    for name in ("uploads-artifacts", "downloads-artifacts"):
        run = replay(name, fargate, server)
        assert run.result.status == "success", str(run)
        assert sorted(run.result.phases) == sorted(stages(name))
    assert "\ndata\n" in run.text
    assert server.artifacts["1005"].startswith(b"PK")


@pytest.mark.skipif(shutil.which("gitlab-runner") is None, reason="no gitlab-runner on PATH")
def test_real_gitlab_runner(fargate: LocalFargate, server: GitLab, tmp_path: Path) -> None:
    recording = Recording("script-exits-7", fargate, server)
    server.jobs.append(json.dumps(recording.job.response).encode())
    exec_, *rest = fargate.driver
    words = ["run-single", "--url", server.url, "--token", "glrt-fake", "--executor", "custom"]
    words += ["--builds-dir", "/builds", "--cache-dir", "/cache", "--max-builds", "1"]
    for stage in ("config", "prepare", "run", "cleanup"):
        words += [f"--custom-{stage}-exec", exec_]
        words += [f"--custom-{stage}-args={word}" for word in (*rest, stage)]
    done = subprocess.run(
        ["gitlab-runner", *words],
        env={**fargate.environment, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        timeout=150,
        check=False,
    )
    trace = b"".join(server.traces).decode(errors="replace")
    assert "after failed" in trace, done.stderr.decode()
    assert {"state": "failed", "exit_code": 7}.items() <= server.updates[-1].items()
