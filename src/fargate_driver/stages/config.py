"""Stage config: tells gitlab-runner, before anything starts, what it should know about the driver.

The answer is JSON on stdout
(https://docs.gitlab.com/runner/executors/custom/#config); stderr is the job's log. As the first
call of a job it is also where mistakes in the configuration show.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from typing import TYPE_CHECKING

from fargate_driver import __version__, log, settings
from fargate_driver.errors import DriverError
from fargate_driver.gitlab import exits, job
from fargate_driver.gitlab.environment import RunnerEnvironment

if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.settings import Settings

logger = logging.getLogger(__name__)


def main(flags: Flags) -> int:
    """Answer gitlab-runner.

    Raises:
        DriverError: A wrong configuration or environment.
    """
    # First, so that a call by hand shows all that is wrong with the file.
    loaded = settings.load(flags)
    env = RunnerEnvironment.from_environ(os.environ)
    this_job = _job(env)
    log.setup(loaded.settings, this_job)
    # Once per job, and into the job's log only where the operator has no log of their own.
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    config = loaded.settings
    folders = config if _has_image(config, flags, env, this_job) else config.fargate
    answer = {
        "driver": {"name": "fargate", "version": __version__},
        "hostname": socket.gethostname(),
        "builds_dir": folders.builds_dir,
        "cache_dir": folders.cache_dir,
    }
    text = json.dumps({name: value for name, value in answer.items() if value is not None})
    try:
        os.write(1, f"{text}\n".encode())
    except OSError as e:
        raise DriverError(f"the answer can't be written to stdout: {e.strerror}") from e
    return exits.succeeded(env)


def _has_image(
    config: Settings, flags: Flags, env: RunnerEnvironment, this_job: job.Job | None
) -> bool:
    """Whether the job will run in an image of its own, as prepare will find (gitlab/images.py)."""
    images = config.images
    # The flag beats the variable.
    chosen = flags.task_def is None and env.variable("FARGATE_TASK_DEFINITION")
    wanted = images.default_image or (this_job and this_job.image)
    return images.enabled and not chosen and bool(wanted)


def _job(env: RunnerEnvironment) -> job.Job | None:
    # Only the log wants it here; prepare says what is wrong with it.
    try:
        return job.load(env)
    except DriverError:
        return None
