"""The hint for a script that was killed while its container lives on."""

from __future__ import annotations

from fargate_driver import jobs
from fargate_driver.ecs import diagnosis
from fargate_driver.errors import DriverError


def hint(directory: str, code: int) -> str | None:
    """Say what an exit code may mean.

    Args:
        directory: the job's directory, whose record tells the task's size.
        code: the script's exit code.

    Returns:
        One line, or None for codes that speak for themselves.
    """
    try:
        record = jobs.load(directory)
    except DriverError:
        record = None
    size = record.launches[-1].size if record and record.launches else {}
    containers = size.get("containers") or [{}]
    verdict = diagnosis.of_script_exit(code, size, str(containers[0].get("name", "")))
    return verdict.line if verdict else None
