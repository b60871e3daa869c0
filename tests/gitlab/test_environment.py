from __future__ import annotations

import json

import pytest

from fargate_driver.errors import DriverError
from fargate_driver.gitlab.environment import RunnerEnvironment, system_failure_exit_code
from front_calls import RECORDED, call_environment


def test_every_recorded_call() -> None:
    calls = sorted(RECORDED.glob("*/*/call.json"))
    assert len(calls) > 40
    for call in calls:
        env = RunnerEnvironment.from_environ(json.loads(call.read_text())["env"])
        assert (env.build_failure_exit_code, env.system_failure_exit_code) == (1, 2)
        assert env.build_exit_code_file == "{TMPDIR}/build_exit_code"
        assert env.tmpdir == "{TMPDIR}"
        assert env.variable("CI_PROJECT_PATH") == "group/project"
        assert env.variable("NO_SUCH_VARIABLE") is None


def test_only_the_runners_form_of_a_variable_counts() -> None:
    env = RunnerEnvironment(call_environment(FARGATE_TASK_DEFINITION="manager"))
    assert env.variable("FARGATE_TASK_DEFINITION") is None


@pytest.mark.parametrize(
    "value", ["", "one", "1_0", "\u0661", "1 ", "-3", "0", "256", "1000", "9" * 5000]
)
@pytest.mark.parametrize("name", ["BUILD_FAILURE_EXIT_CODE", "SYSTEM_FAILURE_EXIT_CODE"])
def test_an_exit_code_that_is_none(name: str, value: str) -> None:
    environ = {"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2"} | {name: value}
    with pytest.raises(DriverError, match=f"{name}: ") as caught:
        RunnerEnvironment.from_environ(environ)
    assert len(str(caught.value)) < 200
    assert system_failure_exit_code(environ) == 2


def test_exit_codes_may_be_any_other_than_0() -> None:
    environ = {"BUILD_FAILURE_EXIT_CODE": "255", "SYSTEM_FAILURE_EXIT_CODE": "11"}
    env = RunnerEnvironment.from_environ(environ)
    assert (env.build_failure_exit_code, env.system_failure_exit_code) == (255, 11)
    assert (env.build_exit_code_file, env.job_response_file, env.tmpdir) == (None, None, None)
    assert system_failure_exit_code(environ) == 11
