"""Whole jobs in images of every kind, with services, sources, cache and artifacts."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from e2e_jobs import run_job
from fargate_driver.runner.job import Variable
from fargate_driver.runner.scripts import Stage, stage_script
from free_port import free_port
from gitlab_server import GitLab, job_token
from image_jobs import image_job, service
from image_kinds import ODD_UID, ODD_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from local_fargate import LocalFargate

FETCH = "wget -q -O - http://{0}:{1}/"
BASH_FETCH = 'exec 5<>/dev/tcp/{0}/{1}; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&5; cat <&5; exec 5>&-'
ARTIFACT = {
    "name": "made",
    "paths": ["out/"],
    "when": "always",
    "artifact_type": "archive",
    "artifact_format": "zip",
}
ALIASES = (
    *("web", "www", "registry.example.com__service__image"),
    "registry.example.com-service-image",
)
CACHE = [{"key": "k", "paths": ["kept"], "policy": "pull-push", "when": "on_success"}]


def zipped(name: str, text: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as target:
        target.writestr(name, text)
    return data.getvalue()


CASES = [
    *(("user", kind) for kind in ("debian", "alone", "musl", "odd")),
    *(pytest.param("namespace", kind, marks=pytest.mark.root) for kind in ("busybox", "odd")),
]


@pytest.mark.parametrize(
    ("shared_fargate", "kind"), CASES, indirect=["shared_fargate"], scope="module"
)
def test_whole_job(fargate: LocalFargate, server: GitLab, store: Path, kind: str) -> None:
    # Tasks of the namespace runtime don't reach this machine's loopback, where GitLab is.
    sources = fargate.settings["SSH"]["Port"] != 22
    port, fetch = free_port(), BASH_FETCH if kind == "debian" else FETCH
    # Only root may write /etc/hosts.
    names = ["127.0.0.1"] if kind == "odd" else ALIASES
    earlier = {
        "id": port,
        "token": job_token(port),
        "name": "earlier",
        "artifacts_file": {"filename": "a.zip", "size": 1},
    }
    server.artifacts[str(port)] = zipped("handed/over", "handed over\n")
    use_sources = [
        "cat README.md handed/over",
        "echo changed >>README.md; rm sub/file; echo new >sub/new",
    ]
    job = image_job(
        store,
        kind,
        [
            *(use_sources if sources else []),
            'test -d . ; cat "$AFILE"; echo " in ${AFILE##*/}"',
            'echo "FROM_SCRIPT=kept" >> "$GITLAB_ENV"; echo "changed" >"$AFILE"',
            "mkdir out kept; echo result >out/file; echo cached >kept/file",
            *(fetch.format(name, port) for name in names),
            "id; pwd; umask",
            {
                "odd": f'test "$(id -u)" = {ODD_UID}; test "$PATH" = /odd/programs; echo "<$ODD>"',
                "musl": "hello",
            }.get(kind, "true"),
            "exit 7",
        ],
        server if sources else None,
        services=[
            service("web www", PORT=str(port), HEALTHCHECK_TCP_PORT=str(port), OWN="$GREETING!"),
            service("dying", DIE="3"),
        ],
        variables=[
            Variable("AFILE", "file body", file=True),
            Variable("GREETING", "from the job", public=True),
        ],
        after_script=["echo after $CI_JOB_STATUS $FROM_SCRIPT; cat out/file"],
        cache=CACHE,
        artifacts=[ARTIFACT] if sources else [],
        dependencies=[earlier] if sources else [],
    )
    run = run_job(fargate, job)
    assert (run.result.status, run.result.exit_code) == ("script_failure", 7), str(run)
    assert run.text.count("from the job from the job!\n") == len(names), str(run)
    expected = ["file body in AFILE\n", "after failed kept\nresult\n", "Failed to extract cache"]
    if kind == "odd":
        expected += [f"<{ODD_VARIABLE}>\n", "since it doesn't run as root"]
    if kind == "musl":
        expected.append("dynamic musl\n")
    if sources:
        expected += ["readme of the project\nhanded over\n"]
        with zipfile.ZipFile(io.BytesIO(server.artifacts[str(job.id)])) as uploaded:
            assert uploaded.read("out/file") == b"result\n"
    for text in expected:
        assert text in run.text, str(run)
    assert "service registry.example.com/service/image:1 ended: its container is STOPPED, exit" in (
        run.text
    )
    assert not run.log.cleanup_errors


def what_caches_need(stage: Stage) -> str | None:
    needed = ("get_sources", "restore_cache", "build_script", "archive_cache")
    return stage_script(stage) if stage.name in needed else None


def test_a_cache_goes_from_job_to_job(fargate: LocalFargate, server: GitLab, store: Path) -> None:
    """Each task has a /cache of its own, so it comes from where GitLab's helper keeps it."""
    variables = [Variable("SHARED_CACHE", server.url, public=True)]
    scripts = ["mkdir kept; echo of the first >kept/file", "cat kept/file; echo more >>kept/file"]
    found = []
    for policy, script in zip(("push", "pull"), scripts, strict=True):
        cache = [{**CACHE[0], "key": "shared", "policy": policy}]
        job = image_job(store, "odd", [script], cache=cache, variables=variables)
        found.append(run_job(fargate, job, scripts=what_caches_need))
    first, second = found
    assert "Created cache" in first.text, str(first)
    assert "Successfully extracted cache" in second.text, str(second)
    assert (second.result.status, "of the first\n" in second.text) == ("success", True), str(second)
