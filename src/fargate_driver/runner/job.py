"""A CI job as GitLab sends it to a runner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 128 * 1024 - 1
"""Linux passes a process no single `NAME=value` of MAX_ARG_STRLEN (128 KiB) or more: execve(2)."""


@dataclass(frozen=True)
class Variable:
    """One CI/CD variable.

    Args:
        key: Its name.
        value: Its value; for a file variable the file's content.
        public: Whether GitLab may show the value to everyone.
        file: Whether the scripts write the value to a file and export that file's path.
        masked: Whether GitLab hides the value in job logs.
        raw: Whether `$NAME` in the value stays as it is.
    """

    key: str
    value: str = field(repr=False)
    public: bool = False
    file: bool = False
    masked: bool = False
    raw: bool = False

    @classmethod
    def parse(cls, text: str) -> Variable:
        """Read `K=V`; the value is taken as it stands.

        Raises:
            ValueError: the text is no variable that a process could be given; the message is
                one line and never holds the value.
        """
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError("expected NAME=VALUE, found no '='")
        if not _NAME.fullmatch(key):
            raise ValueError(
                f"{key[:40]!r} is no variable name: letters, digits and _ are allowed, "
                "no digit at the start"
            )
        if "\0" in value:
            raise ValueError(f"the value of {key} holds a NUL byte, which no process can be given")
        # The driver sees it as CUSTOM_ENV_NAME=value.
        if len(f"CUSTOM_ENV_{key}={value}".encode(errors="surrogateescape")) > _LONGEST:
            raise ValueError(f"the value of {key} is over 128 KiB, the most that Linux passes on")
        return cls(key, value, raw=True)

    def as_response(self) -> dict[str, object]:
        """The variable as the job response has it."""
        return {
            "key": self.key,
            "value": self.value,
            "public": self.public,
            "file": self.file,
            "masked": self.masked,
            "raw": self.raw,
        }


@dataclass(frozen=True)
class Sources:
    """Where a job's sources are.

    Args:
        repo_url: What git fetches from, credentials included.
        sha: The commit to check out.
        ref: The branch's name.
        depth: How many commits to fetch; 0 for all.
    """

    repo_url: str = field(repr=False)
    sha: str
    ref: str = "main"
    depth: int = 20


@dataclass(frozen=True)
class Job:
    """A job, read from the JSON document that GitLab answers `POST /api/v4/jobs/request` with.

    Args:
        response: That document (gitlab-runner's `common/spec/spec.go`, type `Job`).
    """

    response: Mapping[str, Any] = field(repr=False)

    @property
    def id(self) -> int:
        """The job's number."""
        return int(self.response["id"])

    @property
    def token(self) -> str:
        """The job's token, a secret."""
        return str(self.response["token"])

    @property
    def project(self) -> str:
        """The project's path, GROUP/NAME."""
        return str(self.response["job_info"]["project_full_path"])

    @property
    def timeout(self) -> int:
        """Seconds that the whole job may take."""
        return int(self.response["runner_info"]["timeout"])

    @property
    def variables(self) -> list[Variable]:
        """The job's own variables, as sent."""
        return [Variable(**variable) for variable in self.response["variables"]]

    def value(self, key: str, default: str = "") -> str:
        """The value that counts of a variable: the last one of that name."""
        return {variable.key: variable.value for variable in self.variables}.get(key, default)

    def script(self, step: str) -> list[str]:
        """The commands of a step (`script`, `after_script`, …); none where it isn't there."""
        for found in self.response["steps"]:
            if found["name"] == step:
                return list(found["script"])
        return []

    @property
    def extra_steps(self) -> list[str]:
        """The steps beside `script` and `after_script` (for example `release`), in order."""
        names = [str(step["name"]) for step in self.response["steps"]]
        return [name for name in names if name not in ("script", "after_script")]


def describe(
    script: Sequence[str],
    *,
    job_id: int = 1,
    name: str = "try",
    token: str = "",
    server_url: str = "https://gitlab.example.com",
    project: str = "group/project",
    after_script: Sequence[str] = (),
    image: str | None = None,
    services: Sequence[str | Mapping[str, Any]] = (),
    variables: Sequence[Variable] = (),
    sources: Sources | None = None,
    cache: Sequence[Mapping[str, Any]] = (),
    artifacts: Sequence[Mapping[str, Any]] = (),
    dependencies: Sequence[Mapping[str, Any]] = (),
    timeout: int = 3600,
) -> Job:
    """Make a job with what GitLab would send along.

    Args:
        script: The job's commands, each of one or more lines.
        job_id: The job's number.
        name: The job's name.
        token: The job's token.
        server_url: GitLab's address, without a slash at the end.
        project: The project's path, GROUP/NAME.
        after_script: Commands to run after the script, whatever became of it.
        image: The name of the job's `image:`.
        services: Its `services:`, by name or as the job response has them.
        variables: The user's variables.
        sources: What to fetch; without it the job has none (GIT_STRATEGY none).
        cache: Caches as the job response has them.
        artifacts: Artifacts as the job response has them.
        dependencies: Jobs whose artifacts to download, as the job response has them.
        timeout: Seconds that the job may take.
    """
    predefined = _predefined(
        job_id=job_id,
        name=name,
        token=token,
        server_url=server_url,
        project=project,
        sources=sources,
    )
    executor_opts = {"docker": {"platform": "", "user": ""}, "kubernetes": {"user": ""}}
    steps = [_step("script", script, timeout, "on_success", allow_failure=False)]
    if after_script:
        steps.append(_step("after_script", after_script, timeout, "always", allow_failure=True))
    response: dict[str, Any] = {
        "id": job_id,
        "token": token,
        "allow_git_fetch": True,
        "job_info": {
            "name": name,
            "stage": "test",
            "pipeline_id": 1,
            "project_id": 1,
            "project_name": project.rpartition("/")[2],
            "project_full_path": project,
        },
        "git_info": {
            "repo_url": sources.repo_url if sources else f"{server_url}/{project}.git",
            "ref": sources.ref if sources else "main",
            "sha": sources.sha if sources else "0" * 40,
            "before_sha": "0" * 40,
            "ref_type": "branch",
            "refspecs": (
                [f"+refs/heads/{sources.ref}:refs/remotes/origin/{sources.ref}"] if sources else []
            ),
            "depth": sources.depth if sources else 0,
        },
        "runner_info": {"timeout": timeout},
        "variables": [variable.as_response() for variable in (*predefined, *variables)],
        "steps": steps,
        "services": [
            {"executor_opts": executor_opts}
            | ({"name": service} if isinstance(service, str) else dict(service))
            for service in services
        ],
        "artifacts": list(artifacts),
        "cache": list(cache),
        "credentials": [],
        "dependencies": list(dependencies),
        "features": {"trace_sections": True},
    }
    if image is not None:
        response["image"] = {"name": image, "executor_opts": executor_opts}
    return Job(response)


def _step(
    name: str, script: Sequence[str], timeout: int, when: str, *, allow_failure: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "script": list(script),
        "timeout": timeout,
        "when": when,
        "allow_failure": allow_failure,
    }


def _predefined(
    *, job_id: int, name: str, token: str, server_url: str, project: str, sources: Sources | None
) -> list[Variable]:
    """The variables that GitLab itself defines, as far as a driver or a script may want them."""
    namespace, _, project_name = project.rpartition("/")
    protocol, _, host = server_url.partition("://")
    repo_url = sources.repo_url if sources else f"{server_url}/{project}.git"
    sha = sources.sha if sources else "0" * 40
    ref = sources.ref if sources else "main"
    public = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER_FQDN": host,
        "CI_SERVER_URL": server_url,
        "CI_SERVER_HOST": host.partition(":")[0],
        "CI_SERVER_PROTOCOL": protocol,
        "CI_SERVER_NAME": "GitLab",
        "CI_API_V4_URL": f"{server_url}/api/v4",
        "CI_PROJECT_ID": "1",
        "CI_PROJECT_NAME": project_name,
        "CI_PROJECT_PATH": project,
        "CI_PROJECT_PATH_SLUG": re.sub(r"[^a-z0-9]", "-", project.lower()),
        "CI_PROJECT_NAMESPACE": namespace,
        "CI_PROJECT_URL": f"{server_url}/{project}",
        "CI_DEFAULT_BRANCH": "main",
        "CI_PIPELINE_ID": "1",
        "CI_PIPELINE_SOURCE": "push",
        "CI_COMMIT_SHA": sha,
        "CI_COMMIT_SHORT_SHA": sha[:8],
        "CI_COMMIT_REF_NAME": ref,
        "CI_COMMIT_BRANCH": ref,
        "CI_JOB_ID": str(job_id),
        "CI_JOB_NAME": name,
        "CI_JOB_STAGE": "test",
        "CI_JOB_URL": f"{server_url}/{project}/-/jobs/{job_id}",
    }
    found = [Variable(key, value, public=True) for key, value in public.items()]
    found.append(Variable("CI_JOB_TOKEN", token, masked=True))
    found.append(Variable("CI_REPOSITORY_URL", repo_url))
    if sources is None:
        found.append(Variable("GIT_STRATEGY", "none", public=True))
    return found
