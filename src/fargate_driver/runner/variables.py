"""The variables of a job as its scripts and the driver see them."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fargate_driver.runner.flags import FEATURE_FLAGS
from fargate_driver.runner.job import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.runner.job import Job

RUNNER_VERSION = "19.4.0"
"""The gitlab-runner whose calls were recorded and are repeated here."""
RUNNER_REVISION = "d79f3e7b"
RUNNER_ARCHITECTURE = "linux/amd64"

_REFERENCE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*|[0-9*#@!?$-]))")


@dataclass(frozen=True)
class Place:
    """Where a runner runs a job.

    Args:
        builds_dir: The absolute path that holds the projects; empty before `config` answered.
        cache_dir: The absolute path that holds the local caches; may be empty.
        shared: Whether other runners use builds_dir too (`builds_dir_is_shared`).
        short_token: The first characters of the runner's token.
        concurrent_id: The job's slot in the runner.
        concurrent_project_id: The job's slot among those of its project in the runner.
    """

    builds_dir: str = ""
    cache_dir: str = ""
    shared: bool = False
    short_token: str = "fake00000"  # noqa: S105 - an identifier that appears in paths, no secret
    concurrent_id: int = 0
    concurrent_project_id: int = 0

    def project_dir(self, job: Job) -> str:
        """The absolute path of the job's working copy; empty while builds_dir is."""
        if not self.builds_dir:
            return ""
        if self.shared:
            slot = f"{self.short_token}/{self.concurrent_project_id}"
            return posixpath.join(self.builds_dir, slot, job.project)
        return posixpath.join(self.builds_dir, job.project)

    def project_tmp(self, job: Job) -> str:
        """The absolute path of the folder beside it, for file variables and the like."""
        return f"{self.project_dir(job)}.tmp"

    def project_cache(self, job: Job) -> str:
        """The absolute path of the project's local caches."""
        return posixpath.join(self.cache_dir, job.project)


def job_variables(job: Job, place: Place, status: str) -> list[Variable]:
    """All variables of a job, expanded, in the runner's order: of one name, the last one counts.

    Args:
        job: The job.
        place: Where it runs.
        status: CI_JOB_STATUS: running, success, failed or canceled.
    """
    before = dict(FEATURE_FLAGS)
    if (job.response.get("image") or {}).get("name"):
        before["CI_JOB_IMAGE"] = job.response["image"]["name"]
    before |= {
        "CI_RUNNER_SHORT_TOKEN": place.short_token,
        "CI_BUILDS_DIR": place.builds_dir,
        "CI_PROJECT_DIR": place.project_dir(job),
        "CI_CONCURRENT_ID": str(place.concurrent_id),
        "CI_CONCURRENT_PROJECT_ID": str(place.concurrent_project_id),
        "CI_SERVER": "yes",
        "CI_JOB_STATUS": status,
        "CI_JOB_TIMEOUT": str(job.timeout),
    }
    after = {
        "CI_SHARED_ENVIRONMENT": "true",
        "CI_RUNNER_VERSION": RUNNER_VERSION,
        "CI_RUNNER_REVISION": RUNNER_REVISION,
        "CI_RUNNER_EXECUTABLE_ARCH": RUNNER_ARCHITECTURE,
        "RUNNER_TEMP_PROJECT_DIR": place.project_tmp(job),
    }
    found = [
        *(Variable(key, value, public=True) for key, value in before.items()),
        *job.variables,
        *(Variable(key, value, public=True) for key, value in after.items()),
    ]
    values = {variable.key: variable.value for variable in found}
    return [
        variable if variable.raw else replace(variable, value=expand(variable.value, values))
        for variable in found
    ]


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`, once; an unknown name is empty and `$$` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        name = match[1] if match[1] is not None else match[2]
        return "$" if name == "$" else values.get(name, "")

    return _REFERENCE.sub(value, text)


def driver_environment(job: Job, place: Place, status: str) -> dict[str, str]:
    """The CUSTOM_ENV_* variables that the driver gets.

    A file variable carries its content there, and a masked one is in clear text.
    """
    variables = job_variables(job, place, status)
    values = {variable.key: variable.value for variable in variables}
    values["CI_JOB_SERVICES"] = _services(job, values)
    return {f"CUSTOM_ENV_{key}": value for key, value in values.items()}


def expanded_response(job: Job, place: Place) -> dict[str, Any]:
    """The job response as the driver reads it: names of the image and the services expanded."""
    values = {v.key: v.value for v in job_variables(job, place, "running")}
    response = dict(job.response)
    if response.get("image"):
        image = response["image"]
        response["image"] = {**image, "name": expand(image["name"], values)}
    response["services"] = [
        {**service, "name": expand(service["name"], values)}
        for service in response.get("services") or []
    ]
    return response


def _services(job: Job, values: Mapping[str, str]) -> str:
    services: list[dict[str, Any]] = []
    for service in job.response.get("services") or []:
        aliases = str(service.get("alias") or "").replace(",", " ").split()
        entry: dict[str, Any] = {
            "name": expand(service["name"], values),
            "alias": aliases[0] if aliases else "",
            "entrypoint": service.get("entrypoint"),
            "command": service.get("command"),
        }
        if service.get("variables"):
            entry["variables"] = {v["key"]: v["value"] for v in service["variables"]}
        services.append(entry)
    return json.dumps(services, separators=(",", ":"), ensure_ascii=False) if services else ""
