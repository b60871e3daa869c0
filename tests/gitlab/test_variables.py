"""Filling in variables, and telling what is secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.gitlab.variables import Variables
from front_calls import RECORDED, call_environment
from job_response import job_environment, variable

if TYPE_CHECKING:
    from collections.abc import Mapping


def variables(folder: Path, given: list[dict[str, Any]], **more: Any) -> Variables:
    env = job_environment(folder, variables=given, **more)
    assert env.job_response_file is not None
    return Variables(json.loads(Path(env.job_response_file).read_text()), env)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$DB/${DB}x", "test/testx"),
        ("$$DB", "$DB"),
        ("$UNKNOWN.", "."),
        ("cost: 5$", "cost: 5$"),
        ("$AFILE", "/builds/group/project.tmp/AFILE"),
        ("${}", ""),
    ],
)
def test_expansion(tmp_path: Path, text: str, expanded: str) -> None:
    found = variables(
        tmp_path,
        [variable("DB", "test"), variable("AFILE", "content", file=True)],
        expanded={"RUNNER_TEMP_PROJECT_DIR": "/builds/group/project.tmp"},
    )
    assert found.expand(text) == expanded


def test_a_masked_value_is_found_wherever_it_is(tmp_path: Path) -> None:
    found = variables(
        tmp_path,
        [
            variable("PASSWORD", "s3cr3t-value", masked=True, public=False),
            variable("NESTED", "$PASSWORD", masked=False),
            variable("SHORT", "ab", masked=True),
            variable("EMPTY", "", masked=True),
        ],
        expanded={"NESTED": "s3cr3t-value", "VAULT": "from-vault"},
        secrets={"VAULT": {"vault": {}}},
    )
    assert found.secret_in("postgres://ci:s3cr3t-value@db") == "PASSWORD"
    assert found.secret_behind("x${PASSWORD}") == "PASSWORD"
    assert found.secret_behind("$NESTED$SHORT") == "SHORT"
    assert found.secret_behind("$NESTED $ $$PASSWORD") is None
    assert found.secret_in("x from-vault") == "VAULT"
    assert found.secret_in("glcbt-fake-1001") == "CI_JOB_TOKEN"
    assert found.secret_in("cab", "python:3.13", "$PASSWORD", "") is None


def test_what_services_get(tmp_path: Path) -> None:
    found = variables(
        tmp_path,
        [
            variable("POSTGRES_DB", "$NAME"),
            variable("NAME", "test"),
            variable("FROM_SETTINGS", "default in .gitlab-ci.yml"),
            variable("FROM_SETTINGS", "x", public=False),
            variable("PASSWORD", "s3cr3t-value", masked=True),
            variable("PASSWORD", "public-override"),
            variable("AFILE", "content", file=True),
            variable("FARGATE_CPU", "1024"),
            variable("FF_TIMESTAMPS", "true"),
            variable("GIT_DEPTH", "20"),
            variable("CITY", "Bern"),
            *(variable(name, "x") for name in OWN),
        ],
        expanded={"POSTGRES_DB": "test"},
    )
    assert found.for_services() == {
        "CITY": "Bern",
        "NAME": "test",
        "POSTGRES_DB": "test",
        **dict.fromkeys(OWN, "x"),
    }


OWN = ("CI_DB_NAME", "CI_REGISTRY_MIRROR", "GITLAB_OMNIBUS_CONFIG", "GIT_ROOT", "RUNNER_NAME")
"""An author's, by names that only begin as GitLab's do."""


def test_what_gitlab_adds_is_for_no_service(tmp_path: Path) -> None:
    names = {
        name.removeprefix("CUSTOM_ENV_")
        for call in RECORDED.glob("*/*/call.json")
        for name in json.loads(call.read_text())["env"]
        if name.startswith("CUSTOM_ENV_")
    }
    assert "CI_RUNNER_SHORT_TOKEN" in names
    found = variables(tmp_path, [variable(name, "x") for name in names])
    assert set(found.for_services()) == {"AFILE", "SECRET"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
VARIABLE = st.fixed_dictionaries({}, optional={"key": JSON, "value": JSON, "masked": JSON})


@given(JSON | st.fixed_dictionaries({"variables": st.lists(VARIABLE | JSON)}), st.text())
def test_any_response_and_text(response: Any, text: str) -> None:
    environ: Mapping[str, str] = call_environment()
    found = Variables(response, RunnerEnvironment(environ))
    found.secret_in(found.expand(text))
    found.secret_behind(text)
    found.for_services()
