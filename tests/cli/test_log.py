from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

import pytest

from fargate_driver import log
from fargate_driver.gitlab import job
from fargate_driver.settings import Settings, load
from front_calls import MINIMAL, environment, fargate, flags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger("fargate_driver.test")


@pytest.fixture(autouse=True)
def package_logger() -> Iterator[None]:
    """Leave the package's logger as it was."""
    package = logging.getLogger("fargate_driver")
    yield
    for handler in package.handlers[:]:
        package.removeHandler(handler)
        handler.close()
    package.setLevel(logging.NOTSET)
    package.propagate = True


def settings(folder: Path, head: str = "") -> Settings:
    (folder / "f.toml").write_text(f"{head}\n{MINIMAL}")
    return load(flags(config=str(folder / "f.toml"))).settings


def a_job() -> job.Job:
    return job.load(
        environment(
            CUSTOM_ENV_CI_JOB_ID="1001",
            CUSTOM_ENV_CI_PROJECT_ID="42",
            CUSTOM_ENV_CI_PIPELINE_ID="500",
            CUSTOM_ENV_CI_REPOSITORY_URL="https://gitlab.example.com/group/project.git",
        )
    )


def test_a_jobs_log_has_warnings_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(settings(tmp_path))
    logger.info("quiet")
    logger.warning("two\nlines")
    assert capsys.readouterr().err == "fargate: warning: two\\nlines\n"


def test_json_lines_name_the_job(tmp_path: Path) -> None:
    file = tmp_path / "f.log"
    head = f'LogFile = "{file}"\nLogFormat = "json"\nLogLevel = "debug"'
    for _ in range(2):  # appended, not replaced
        log.setup(settings(tmp_path, head), a_job())
        logger.debug("started")
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0].pop("time").endswith("Z")
    assert lines[0] == {
        "level": "debug",
        "msg": "started",
        "job": 1001,
        "pipeline": 500,
        "project": "group/project",
    }


def test_text_in_a_file_has_time_and_job(tmp_path: Path) -> None:
    log.setup(settings(tmp_path, f'LogFile = "{tmp_path}/f.log"'), a_job())
    try:
        int("x")
    except ValueError:
        logger.exception("failed")
    (line,) = (tmp_path / "f.log").read_text().splitlines()
    start, _, end = line.partition(" ")
    assert start.endswith("Z")
    assert end.startswith("error job=1001 pipeline=500 project=group/project failed\\nTraceback")


def test_a_file_that_can_not_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.setup(settings(tmp_path, f'LogFile = "{tmp_path}"'))
    logger.error("goes on")
    assert capfd.readouterr().err == (
        f"fargate: LogFile {tmp_path} can't be written (Is a directory); logging to stderr\n"
        "fargate: error: goes on\n"
    )


def test_a_fifo_that_nobody_reads(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "log")
    log.setup(settings(tmp_path, f'LogFile = "{tmp_path}/log"'))
    logger.error("goes on")
    assert capfd.readouterr().err == (
        f"fargate: LogFile {tmp_path}/log can't be written (No such device or address); logging to"
        " stderr\nfargate: error: goes on\n"
    )


@pytest.mark.parametrize("file", ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "link"])
def test_stdout_is_for_the_answer(tmp_path: Path, file: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    # A section that is not known is a warning for the log.
    text = f'LogFile = "{file}"\n{MINIMAL}\n[NoSuchSection]\n'
    (tmp_path / "f.toml").write_text(text)
    done = fargate("--config", str(tmp_path / "f.toml"), "custom", "config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["driver"]["name"] == "fargate"
    shown = tmp_path / "link" if file == "link" else file
    line = f"fargate: LogFile {shown} is stdout, which is for answers; logging to stderr"
    assert done.stderr.splitlines()[0] == line


def test_a_full_disk_gives_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.setup(settings(tmp_path, 'LogFile = "/dev/full"'))
    logger.error("lost")
    line = "fargate: LogFile can't be written: [Errno 28] No space left on device\n"
    assert capfd.readouterr().err == line
    # What the buffer still holds would fail again at exit.
    (handler,) = logging.getLogger("fargate_driver").handlers
    with pytest.raises(OSError, match="No space"):
        handler.close()


def test_other_packages_are_not_logged(tmp_path: Path) -> None:
    log.setup(settings(tmp_path, f'LogFile = "{tmp_path}/f.log"\nLogLevel = "debug"'))
    logging.getLogger("botocore.auth").warning("signature")
    assert (tmp_path / "f.log").read_text() == ""
