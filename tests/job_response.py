"""Job responses as GitLab sends them, with what a test wants in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.settings import Settings, load
from front_calls import MINIMAL, call_environment, flags

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = '[Images]\nEnabled = true\nHelperImage = "registry.example.com/fargate-helper:1"\n'
TOKEN = "glcbt-fake-1001"


def variable(key: str, value: str, **more: bool) -> dict[str, Any]:
    kinds = {"public": True, "file": False, "masked": False, "raw": False}
    return {"key": key, "value": value, **kinds, **more}


def job_environment(
    folder: Path,
    *,
    image: str | dict[str, Any] | None = "python:3.13",
    services: list[Any] | None = None,
    variables: list[dict[str, Any]] | None = None,
    expanded: dict[str, str] | None = None,
    **more: Any,
) -> RunnerEnvironment:
    """The environment of a call.

    Args:
        folder: Where the response is written.
        image: `image:`, a name alone or with its options.
        services: `services:`, each a name alone or with its options.
        variables: The job's variables.
        expanded: Their values after expansion, and other variables, where they differ.
        more: Further fields of the response.
    """
    given = variables or []
    response: dict[str, Any] = {
        "id": 1001,
        "token": TOKEN,
        "job_info": {"project_id": 42},
        "git_info": {"repo_url": "https://gitlab.example.com/group/project.git"},
        "variables": given,
        "image": _named(image or ""),
        "services": [_named(service) for service in services or []],
        **more,
    }
    path = folder / "response.json"
    path.write_text(json.dumps(response))
    values = {one["key"]: one["value"] for one in given} | (expanded or {})
    if image:
        values["CI_JOB_IMAGE"] = str(response["image"]["name"])
    environ = call_environment(JOB_RESPONSE_FILE=str(path))
    return RunnerEnvironment(environ | {f"CUSTOM_ENV_{k}": v for k, v in values.items()})


def settings(folder: Path, text: str = IMAGES, env: RunnerEnvironment | None = None) -> Settings:
    """The settings of a minimal file with more in it."""
    path = folder / "settings.toml"
    path.write_text(MINIMAL + text)
    return load(flags(config=str(path)), env).settings


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value
