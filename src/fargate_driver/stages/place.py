"""Finding the job's directory from the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fargate_driver import settings
from fargate_driver.gitlab import job

if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.gitlab.environment import RunnerEnvironment


def job_directory(flags: Flags, env: RunnerEnvironment) -> str:
    """Where prepare puts the job's record; needed when its link is gone.

    Args:
        flags: the command line's global flags.
        env: the call's environment.

    Returns:
        The path, whether or not something is there.

    Raises:
        DriverError: the configuration or the job's description can't be read.
    """
    directory = settings.load(flags, None).settings.task_metadata.directory
    return os.path.join(directory, job.load(env).key)  # noqa: PTH118 - as jobs.py has it
