"""Which job a call belongs to.

gitlab-runner hands the job, as GitLab sent it, to every call as the file JOB_RESPONSE_FILE. Its
fields that no author of a job can change give the job its identity: the variables CI_JOB_ID,
CI_SERVER_URL and the like can be overridden in .gitlab-ci.yml. Source of the fields: `Job` in
https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/common/spec/spec.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from fargate_driver import masking
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from fargate_driver.gitlab.environment import RunnerEnvironment

# GitLab's own default for a job's timeout (project settings), for a runner that tells none.
_DEFAULT_TIMEOUT = 3600
# Job ids are bigint in GitLab's database.
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Job:
    """A CI job.

    Attributes:
        id: Its number on its GitLab instance.
        project_id: The project's number.
        repository: URL of the project's repository, without user name and password.
        pipeline_id: The pipeline's number, None where unknown.
        project_path: `group/project`.
        timeout: Seconds that GitLab gives it.
        image: The image that its author asks for, None for none.
        services: The images of its services.
        name: What its author calls it.
        folder: The project's folder in the job's container, "" before gitlab-runner knows it.
    """

    id: int
    project_id: int
    repository: str
    pipeline_id: int | None
    project_path: str
    timeout: int
    image: str | None
    services: tuple[str, ...]
    name: str = ""
    folder: str = ""

    @property
    def key(self) -> str:
        """The job's identity as a file name: bounded, and its own across all GitLab instances."""
        identity = json.dumps([self.repository, self.project_id, self.id])
        return f"{self.id}-{sha256(identity.encode()).hexdigest()[:20]}"

    def describe(self) -> str:
        """`job 1001 (pipeline 500, group/project)`, printable and at most 150 characters.

        Short enough to leave room for a cause in StopTask's reason of up to 255 characters
        (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html; AWS's older
        SDKs name the limit).
        """
        pipeline = f"pipeline {self.pipeline_id}, " if self.pipeline_id is not None else ""
        start = f"job {self.id} ({pipeline}"
        project = printable(masking.parts(self.project_path))
        room = 150 - len(start) - 1
        return f"{start}{project if len(project) <= room else project[: room - 3] + '...'})"

    def about(self) -> dict[str, str]:
        """What the job's record keeps of it, for those who look at running jobs.

        The folder is to be found by it, so it alone is as the job has it.
        """
        return {
            "job": str(self.id),
            "name": masking.whole(self.name),
            "pipeline": str(self.pipeline_id or ""),
            "project": masking.whole(self.project_path),
            "folder": self.folder,
        }


def load(env: RunnerEnvironment) -> Job:
    """Read the job that a call belongs to.

    Args:
        env: The call's environment. Where it has no job response (a runner before 14.1, or the
            file is gone), the job's variables stand in; they give the same key unless the job's
            author overrides them.

    Raises:
        DriverError: The response is unreadable or incomplete, or there is no job at all.
    """
    found = response(env)
    if found is None:
        return _from_variables(env)
    return _from_response(found, env, f"the job response {env.job_response_file}")


def response(env: RunnerEnvironment) -> Any:
    """Read the job as GitLab sent it.

    Args:
        env: The call's environment.

    Returns:
        The parsed JSON, whatever it is; None where there is no job response.

    Raises:
        DriverError: The response is unreadable.
    """
    if env.job_response_file is None:
        return None
    path = Path(env.job_response_file)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DriverError(f"the job response {path} can't be read: {error}") from error
    try:
        # A response of `null` is no job, but it is a response.
        return json.loads(raw) or {}
    except (ValueError, RecursionError) as error:
        raise DriverError(
            f"the job response {path} is not valid JSON ({len(raw)} bytes); "
            "is the disk of the runner's host full?"
        ) from error


def printable(text: str) -> str:
    """The text without control characters and lone surrogates."""
    return "".join(character for character in text if character.isprintable())


def _from_response(response: Any, env: RunnerEnvironment, source: str) -> Job:
    info, runner = table(response, "job_info"), table(response, "runner_info")
    repository = _repository(table(response, "git_info").get("repo_url"), f"{source}: repo_url")
    services = field(response, "services")
    image = text(table(response, "image").get("name"))
    return Job(
        id=_number(field(response, "id"), f"{source}: id"),
        project_id=_number(info.get("project_id"), f"{source}: project_id"),
        repository=repository,
        pipeline_id=_number_or_none(info.get("pipeline_id") or env.variable("CI_PIPELINE_ID")),
        project_path=text(info.get("project_full_path")) or _path(repository),
        timeout=_number_or_none(runner.get("timeout")) or _DEFAULT_TIMEOUT,
        image=image or None,
        services=_names(services),
        name=text(info.get("name")),
        folder=env.variable("CI_PROJECT_DIR") or "",
    )


def _from_variables(env: RunnerEnvironment) -> Job:
    if not env.variable("CI_JOB_ID"):
        raise DriverError(
            "no job: neither JOB_RESPONSE_FILE nor CUSTOM_ENV_CI_JOB_ID leads to one; "
            "is this call from gitlab-runner's custom executor?"
        )
    repository = _repository(env.variable("CI_REPOSITORY_URL"), "variable CI_REPOSITORY_URL")
    try:
        services = json.loads(env.variable("CI_JOB_SERVICES") or "[]")
    except (ValueError, RecursionError):
        services = []
    return Job(
        id=_number(env.variable("CI_JOB_ID"), "variable CI_JOB_ID"),
        project_id=_number(env.variable("CI_PROJECT_ID"), "variable CI_PROJECT_ID"),
        repository=repository,
        pipeline_id=_number_or_none(env.variable("CI_PIPELINE_ID")),
        project_path=_path(repository),
        timeout=_number_or_none(env.variable("CI_JOB_TIMEOUT")) or _DEFAULT_TIMEOUT,
        image=env.variable("CI_JOB_IMAGE") or None,
        services=_names(services),
        name=env.variable("CI_JOB_NAME") or "",
        folder=env.variable("CI_PROJECT_DIR") or "",
    )


def field(value: Any, name: str) -> Any:
    """A field of what should be a JSON object; None where there is none."""
    return value.get(name) if isinstance(value, dict) else None


def table(value: Any, name: str) -> dict[str, Any]:
    """A field that should be a JSON object; an empty one for anything else."""
    found = field(value, name)
    return found if isinstance(found, dict) else {}


def text(value: Any) -> str:
    """What should be a string; "" for anything else."""
    return value if isinstance(value, str) else ""


def _names(services: Any) -> tuple[str, ...]:
    found = services if isinstance(services, list) else []
    return tuple(name for service in found if (name := text(field(service, "name"))))


def _number_or_none(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST
    return value if usable else None


def _number(value: Any, what: str) -> int:
    number = _number_or_none(value)
    if number is None:
        raise DriverError(f"{what} is {'missing' if value is None else 'no number of GitLab'}")
    return number


def _repository(value: Any, what: str) -> str:
    """The URL without user name and password: these are the job's token, new for each job."""
    try:
        parts = urlsplit(text(value))
        _ = parts.port  # raises for one that is no number
    except ValueError:
        parts = urlsplit("")
    host = parts.netloc.rpartition("@")[2].lower()
    if not host or not host.isprintable():
        raise DriverError(f"{what} is {'missing' if value is None else 'no URL of a repository'}")
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _path(repository: str) -> str:
    return urlsplit(repository).path.strip("/").removesuffix(".git")
