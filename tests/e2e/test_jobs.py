"""Whole jobs: a stand-in for gitlab-runner, the driver, and tasks of a local Fargate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from e2e_jobs import Run, new_job, run_job
from fargate_driver.runner.job import Variable

if TYPE_CHECKING:
    from gitlab_server import GitLab
    from local_fargate import LocalFargate

# Counts the processes whose command line holds a text, without tools that an image may lack.
COUNT = (
    "n=0; for f in /proc/[0-9]*/cmdline; do "
    '  case "$(tr "\\0" " " <"$f" 2>/dev/null)" in "sleep {0}"*) n=$((n+1));; esac; '
    "done; echo left:$n"
)


def test_passing_job_with_all_stages(fargate: LocalFargate, server: GitLab) -> None:
    job = new_job(
        [
            "cat README.md",
            'cat "$AFILE"; echo " in $(basename "$AFILE")"',
            "git log --format=%s -1",
            'echo "sees $TEXT"',
            'echo "FROM_SCRIPT=kept" >> "$GITLAB_ENV"',
        ],
        server,
        variables=[
            Variable("AFILE", "file body", file=True),
            Variable("TEXT", 'it\'s $HOME\n"x" \\ end', raw=True),
        ],
        after_script=["echo after $CI_JOB_STATUS $FROM_SCRIPT"],
        cache=[{"key": "k1", "paths": ["sub"], "policy": "pull-push", "when": "on_success"}],
    )
    run = run_job(fargate, job)
    assert run.result.status == "success", str(run)
    assert run.result.exit_code == 0
    for expected in (
        "readme of the project",
        "file body in AFILE",
        "first line",
        'sees it\'s $HOME\n"x" \\ end\n',
        "Failed to extract cache",
        "Created cache",
        "after success kept",
    ):
        assert expected in run.text
    assert list(run.result.phases) == [
        *("config", "prepare", "prepare_script", "get_sources", "restore_cache", "build_script"),
        *("after_script", "archive_cache", "cleanup_file_variables", "cleanup"),
    ]
    assert not run.log.cleanup_errors


@pytest.mark.parametrize("code", [1, 2, 7, 254, 255])
def test_script_exit_codes(fargate: LocalFargate, code: int) -> None:
    job = new_job(["echo before", f"exit {code}"], after_script=["echo after $CI_JOB_STATUS"])
    run = run_job(fargate, job)
    assert (run.result.status, run.result.exit_code) == ("script_failure", code), str(run)
    assert "after failed" in run.text


def test_aborted_job(fargate: LocalFargate) -> None:
    async def abort(run: Run) -> None:
        await run.log.shows("begun")
        run.runner.abort()

    script = "trap '' TERM; setsid sleep 3131 & sleep 3131 & echo begun; wait; sleep 3131"
    job = new_job([script], after_script=["echo after-cancel"])
    run = run_job(fargate, job, abort)
    assert run.result.status == "canceled", str(run)
    assert "after-cancel" not in run.text
    assert "cleanup_file_variables" not in run.result.phases
    assert not run.log.cleanup_errors


def test_gracefully_cancelled_job(fargate: LocalFargate) -> None:
    async def cancel(run: Run) -> None:
        await run.log.shows("begun")
        run.runner.cancel()

    script = "trap '' TERM; touch here; setsid sleep 3232 & sleep 3232 & echo begun; wait"
    after = ["echo after $CI_JOB_STATUS", "test -e here && echo same task", COUNT.format(3232)]
    run = run_job(fargate, new_job([script], after_script=after), cancel)
    assert run.result.status == "canceled", str(run)
    for expected in ("after canceled", "same task\n", "left:0\n"):
        assert expected in run.text, str(run)
    assert "cleanup_file_variables" in run.result.phases


def test_job_timeout(fargate: LocalFargate) -> None:
    job = new_job(["echo begun", "sleep 3333"], after_script=["echo after-timeout"], timeout=12)
    run = run_job(fargate, job)
    assert run.result.reason == "job_execution_timeout", str(run)
    assert "after-timeout" not in run.text


def test_artifacts_from_one_job_to_the_next(fargate: LocalFargate, server: GitLab) -> None:
    artifact = {
        "name": "my-arts",
        "paths": ["out/"],
        "when": "on_success",
        "artifact_type": "archive",
        "artifact_format": "zip",
        "expire_in": "1 day",
    }
    first = new_job(["mkdir -p out", "echo data > out/a.txt"], server, artifacts=[artifact])
    run = run_job(fargate, first)
    assert run.result.status == "success", str(run)
    dependency = {
        "id": first.id,
        "token": first.token,
        "name": "first",
        "artifacts_file": {"filename": "my-arts.zip", "size": 1},
    }
    run = run_job(fargate, new_job(["cat out/a.txt"], server, dependencies=[dependency]))
    assert run.result.status == "success", str(run)
    assert "\ndata\n" in run.text


def test_large_script(fargate: LocalFargate) -> None:
    lines = "".join(f": {number:06} {'x' * 90}\n" for number in range(3000))
    job = new_job([f"{lines}echo end of {len(lines)}"])
    run = run_job(fargate, job)
    assert run.result.status == "success", str(run)
    assert f"end of {len(lines)}\n" in run.text


MEGABYTE = 1_000_000


def test_output_in_long_lines(fargate: LocalFargate) -> None:
    # 100 lines of 100 KB, all bytes but newline in turn
    code = (
        "import sys; b = bytes(c for c in range(256) if c != 10) * 400; "
        "[sys.stdout.buffer.write(bytes([65 + i % 26]) + b[:99998] + b'\\n') for i in range(100)]"
    )
    expected = b"".join(
        bytes([65 + i % 26]) + (bytes(c for c in range(256) if c != 10) * 400)[:99998] + b"\n"
        for i in range(100)
    )
    assert_prints(fargate, f'python3 -c "{code}"', expected)


def test_output_in_single_bytes(fargate: LocalFargate) -> None:
    command = "seq 1000000 9999999 | head -c 10000000 | dd bs=1 status=none"
    expected = "".join(f"{n}\n" for n in range(MEGABYTE, MEGABYTE + 1_250_000)).encode()
    assert_prints(fargate, command, expected)


def assert_prints(fargate: LocalFargate, command: str, expected: bytes) -> None:
    script = f"set +o pipefail\necho BEGIN\n{command}\necho END"
    run = run_job(fargate, new_job([script]))
    assert run.result.status == "success", str(run)
    printed = bytes(run.log.printed).partition(b"BEGIN\n")[2].rpartition(b"END\n")[0]
    assert len(printed) == len(expected)
    assert printed == expected


def test_ten_jobs_at_once(fargate: LocalFargate) -> None:
    async def all_at_once() -> list[Run]:
        jobs = [new_job([f"echo I am {number}", f"exit {number}"]) for number in range(10)]
        return await asyncio.gather(*(Run(fargate, job).go() for job in jobs))

    runs = asyncio.run(all_at_once())
    for number, run in enumerate(runs):
        expected = ("script_failure", number) if number else ("success", 0)
        assert (run.result.status, run.result.exit_code) == expected, str(run)
        assert f"I am {number}\n" in run.text
