from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.errors import DriverError
from fargate_driver.gitlab.job import Job, load
from front_calls import RECORDED, environment

if TYPE_CHECKING:
    from pathlib import Path

KEY = re.compile(r"[1-9][0-9]{0,18}-[0-9a-f]{20}")


def recorded(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A recorded job: its response and its environment."""
    folder = RECORDED / name / "01-config"
    response: dict[str, Any] = json.loads((folder / "job_response.json").read_text())
    return response, json.loads((folder / "call.json").read_text())["env"]


def from_response(folder: Path, response: object, **more: str) -> Job:
    file = folder / "response.json"
    file.write_text(response if isinstance(response, str) else json.dumps(response))
    return load(environment(JOB_RESPONSE_FILE=str(file), **more))


def test_the_recorded_jobs(tmp_path: Path) -> None:
    names = sorted(folder.name for folder in RECORDED.iterdir())
    jobs = {name: from_response(tmp_path, recorded(name)[0]) for name in names}
    job = jobs["all-stages"]
    assert job == Job(
        id=1001,
        project_id=42,
        repository="http://gitlab.example.com/group/project.git",
        pipeline_id=500,
        project_path="group/project",
        timeout=3600,
        image="registry.example.com/img:1",
        services=("redis:7", "postgres:16"),
        name="ok",
    )
    assert job.describe() == "job 1001 (pipeline 500, group/project)"
    assert len({job.key for job in jobs.values()}) == len(names) == 6


def test_without_a_response_the_variables_give_the_same_job(tmp_path: Path) -> None:
    response, env = recorded("all-stages")
    variables = {name: value for name, value in env.items() if name.startswith("CUSTOM_ENV_")}
    whole = from_response(tmp_path, response, **variables)
    assert load(environment(**variables)) == whole
    gone = environment(JOB_RESPONSE_FILE=str(tmp_path / "gone"), **variables)
    assert load(gone).key == whole.key


def test_variables_can_not_change_the_identity(tmp_path: Path) -> None:
    response, _ = recorded("all-stages")
    key = from_response(tmp_path, response).key
    response["variables"] += [{"key": "CI_JOB_ID", "value": "1"}]
    overridden = from_response(
        tmp_path,
        response,
        CUSTOM_ENV_CI_JOB_ID="1",
        CUSTOM_ENV_CI_PROJECT_ID="1",
        CUSTOM_ENV_CI_SERVER_URL="http://other.example.com",
        CUSTOM_ENV_CI_REPOSITORY_URL="http://other.example.com/a/b.git",
    )
    assert overridden.key == key


def test_the_key_is_the_jobs_own(tmp_path: Path) -> None:
    response, _ = recorded("all-stages")
    keys = {from_response(tmp_path, response).key}
    # The job's token is part of the URL and new with each job: it must not count.
    response["git_info"]["repo_url"] = "http://x:new@gitlab.example.com/group/project.git"
    assert from_response(tmp_path, response).key in keys
    response["git_info"]["repo_url"] = "http://x:new@other.example.com/group/project.git"
    keys.add(from_response(tmp_path, response).key)
    response["job_info"]["project_id"] = 43
    keys.add(from_response(tmp_path, response).key)
    response["id"] = 1002
    keys.add(from_response(tmp_path, response).key)
    assert len(keys) == 4


def test_an_older_runner_tells_less(tmp_path: Path) -> None:
    response, _ = recorded("all-stages")
    for name in ("pipeline_id", "project_full_path"):
        del response["job_info"][name]
    del response["image"], response["services"], response["runner_info"]
    job = from_response(tmp_path, response)
    assert job.describe() == "job 1001 (group/project)"
    assert (job.image, job.services, job.timeout) == (None, (), 3600)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "is not valid JSON (0 bytes); is the disk of the runner's host full?"),
        ('{"id": 10', "is not valid JSON (9 bytes); is the disk of the runner's host full?"),
        ("[" * 100_000, "is not valid JSON (100000 bytes); is the disk of the runner's host full?"),
        ("9" * 9999, "is not valid JSON (9999 bytes); is the disk of the runner's host full?"),
        ("[]", ": repo_url is missing"),
        ('{"git_info": {"repo_url": "x"}}', ": repo_url is no URL of a repository"),
        ('{"git_info": {"repo_url": "http://h:x/p"}}', ": repo_url is no URL of a repository"),
        ('{"git_info": {"repo_url": "http://h/p"}}', ": id is missing"),
        ('{"git_info": {"repo_url": "http://h/p"}, "id": "../x"}', ": id is no number of GitLab"),
        ('{"git_info": {"repo_url": "http://h/p"}, "id": true}', ": id is no number of GitLab"),
        ('{"git_info": {"repo_url": "http://h/p"}, "id": 1}', ": project_id is missing"),
    ],
)
def test_a_broken_response_gives_a_line(tmp_path: Path, content: str, wrong: str) -> None:
    with pytest.raises(DriverError) as caught:
        from_response(tmp_path, content, CUSTOM_ENV_CI_JOB_ID="1")
    separator = "" if wrong.startswith(":") else " "
    assert str(caught.value) == f"the job response {tmp_path}/response.json{separator}{wrong}"


def test_a_response_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="can't be read"):
        load(environment(JOB_RESPONSE_FILE=str(tmp_path)))


def test_a_call_without_any_job() -> None:
    with pytest.raises(DriverError, match="no job: neither JOB_RESPONSE_FILE nor "):
        load(environment())


HOSTILE = st.text() | st.sampled_from(["../../etc/passwd", "a\0b", "a\nb", "x" * 10_000, "\ud800"])


@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_texts_are_harmless(tmp_path: Path, name: str, project: str, image: str) -> None:
    response, _ = recorded("aborted")
    response["job_info"] |= {"name": name, "project_full_path": project}
    response["image"]["name"] = image
    response["git_info"]["repo_url"] = f"http://u@gitlab.example.com/{project}"
    job = from_response(tmp_path, response)
    assert KEY.fullmatch(job.key)
    assert len(job.describe()) <= 150
    assert job.describe().isprintable()


@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_variables_are_harmless(job_id: str, url: str, services: str) -> None:
    env = environment(
        CUSTOM_ENV_CI_JOB_ID=job_id,
        CUSTOM_ENV_CI_PROJECT_ID="42",
        CUSTOM_ENV_CI_REPOSITORY_URL=f"https://{url}",
        CUSTOM_ENV_CI_JOB_SERVICES=services,
        CUSTOM_ENV_CI_RUNNER_SHORT_TOKEN=url,
    )
    try:
        job = load(env)
    except DriverError as error:
        message = str(error)
    else:
        assert KEY.fullmatch(job.key)
        return
    assert len(message.splitlines()) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "git_info",
                    "repo_url",
                    "job_info",
                    "project_id",
                    "image",
                    "services",
                    "name",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_any_json_is_a_job_or_a_line(tmp_path: Path, response: object) -> None:
    try:
        job = from_response(tmp_path, response)
    except DriverError as error:
        message = str(error)
    else:
        assert KEY.fullmatch(job.key)
        return
    assert len(message.splitlines()) == 1
