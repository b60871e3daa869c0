from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab import exits
from front_calls import environment

if TYPE_CHECKING:
    from pathlib import Path

    from fargate_driver.gitlab.environment import RunnerEnvironment


@pytest.fixture
def code_file(tmp_path: Path) -> Path:
    """As an earlier stage of the job left it."""
    file = tmp_path / "build_exit_code"
    file.write_text("99\n")
    return file


@pytest.fixture
def env(code_file: Path) -> RunnerEnvironment:
    return environment(BUILD_EXIT_CODE_FILE=str(code_file))


@pytest.mark.parametrize("code", [1, 2, 7, 137, 254, 255, 300])
def test_a_failing_script_leaves_its_code(
    env: RunnerEnvironment, code_file: Path, code: int
) -> None:
    assert exits.script_failed(env, code) == 1
    assert code_file.read_text().splitlines()[0] == str(code)
    assert list(code_file.parent.iterdir()) == [code_file]


def test_a_stale_code_never_survives(env: RunnerEnvironment, code_file: Path) -> None:
    for outcome, code in (
        (exits.succeeded, 0),
        (exits.job_failed, 1),
        (exits.system_failed, 2),
        (lambda env: exits.failed(env, DriverError("x")), 2),
        (lambda env: exits.failed(env, JobConfigurationError("x")), 1),
    ):
        code_file.write_text("99\n")
        assert outcome(env) == code
        assert not code_file.exists()
        assert outcome(env) == code  # nothing there is fine too


def test_a_runner_without_the_file() -> None:
    env = environment()
    assert exits.script_failed(env, 7) == 1
    assert exits.job_failed(env) == 1
    assert exits.succeeded(env) == 0


def test_a_code_that_can_not_be_handed_over_is_a_system_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    env = environment(BUILD_EXIT_CODE_FILE=str(tmp_path / "gone" / "code"))
    assert exits.script_failed(env, 7) == 2
    assert capfd.readouterr().err == (
        f"fargate: the script exited with 7, but {tmp_path}/gone/code can't be written: "
        "No such file or directory\n"
    )


def test_a_stale_code_that_stays_is_no_build_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code").mkdir()  # can't be unlinked, not even by root
    env = environment(BUILD_EXIT_CODE_FILE=str(tmp_path / "code"))
    assert exits.job_failed(env) == 2
    assert "can't be removed" in capfd.readouterr().err
    assert exits.succeeded(env) == 0
    assert exits.script_failed(env, 7) == 2


def test_each_line_of_an_error_is_marked(
    env: RunnerEnvironment, capfd: pytest.CaptureFixture[str]
) -> None:
    exits.failed(env, DriverError("one\ntwo \udcff"))
    assert capfd.readouterr().err == "fargate: one\nfargate: two \\udcff\n"
