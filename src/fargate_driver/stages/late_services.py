"""Telling the job's author of services that died after prepare, when a script fails.

prepare leaves a note of the services that lived then, with where their logs are. The first script
that fails uses it up: a script that fails for want of its database shows how that ended, and jobs
without services, or without failures, cost nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_driver import jobs, records
from fargate_driver.console import warn
from fargate_driver.ecs.client import CALLS, Ecs
from fargate_driver.errors import DriverError
from fargate_driver.jobs import SERVICES
from fargate_driver.metrics import results
from fargate_driver.stages.service_log import ServiceLog
from fargate_driver.stages.services import state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LOGGER = logging.getLogger(__name__)
_PATIENCE = 5.0
"""Seconds that all of it may take: the job has failed, and its author waits."""


def note(directory: str, definition: Mapping[str, Any], living: Collection[str]) -> None:
    """Leave word of the services that a job begins with; none fails for want of it.

    Args:
        directory: the job's directory.
        definition: its task definition.
        living: the names of the containers.
    """
    kept = ("name", "image", "logConfiguration")
    containers = [
        {key: container[key] for key in kept if key in container}
        for container in definition["containerDefinitions"]
        if container["name"] in living
    ]
    if containers:
        try:
            jobs.write(str(Path(directory, SERVICES)), json.dumps(containers))
        except DriverError as e:
            _LOGGER.warning("services that die while scripts run will not be told: %s", e)


def tell(directory: str) -> None:
    """Warn of the services that died since; never fails.

    Args:
        directory: the job's directory.
    """
    path = Path(directory, SERVICES)
    try:
        containers = json.loads(path.read_text("utf-8"))
        path.unlink()
        record = records.load(directory)
        if record and record.task_arn:
            _tell(directory, containers, record, record.task_arn)
    except Exception as e:  # noqa: BLE001 - the script's verdict stands, whatever this meets
        _LOGGER.debug("what became of the services can't be told: %s", e)


def _tell(
    directory: str, containers: list[dict[str, Any]], record: records.JobRecord, task_arn: str
) -> None:
    deadline = time.monotonic() + _PATIENCE
    # An attempt that begins at the last moment may take as long again.
    ecs = Ecs(record.target, deadline=deadline - _PATIENCE / 2, longest_attempt=_PATIENCE / 2)
    try:
        task = ecs.describe_task(task_arn) or {}
        seen = {one.get("name"): one for one in task.get("containers") or ()}
        log = ServiceLog(record.target, {"containerDefinitions": containers}, task_arn, deadline)
        for container in containers:
            found = seen.get(container["name"], {})
            if found.get("lastStatus") == "STOPPED":
                warn(f"service {container['image']} ended while scripts ran: {state(found)}")
                if time.monotonic() < deadline:
                    log.show(container["name"])
    finally:
        with contextlib.suppress(OSError):
            results.note_calls(directory, CALLS)
