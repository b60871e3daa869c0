"""Jobs with `image:` and `services:`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import image_kinds
from e2e_jobs import new_job
from fargate_driver.runner.job import Job

if TYPE_CHECKING:
    from pathlib import Path

    from gitlab_server import GitLab


def image_job(
    store: Path,
    kind: str,
    script: list[str],
    server: GitLab | None = None,
    *,
    services: list[dict[str, Any]] | None = None,
    **rest: Any,
) -> Job:
    """A job in an image of a kind; services as the job response has them."""
    image_kinds.add(store, kind)
    job = new_job(script, server, image=image_kinds.NAMES[kind], **rest)
    return Job({**job.response, "services": services or []})


def service(alias: str = "", kind: str = "service", **variables: str) -> dict[str, Any]:
    """A service with variables of its own."""
    given = [{"key": key, "value": value} for key, value in variables.items()]
    return {"name": image_kinds.NAMES[kind], "alias": alias, "variables": given}
