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
import sys
from typing import TYPE_CHECKING

from fargate_driver import __version__, log, settings
from fargate_driver.gitlab import exits, job
from fargate_driver.gitlab.environment import RunnerEnvironment

if TYPE_CHECKING:
    from fargate_driver.flags import Flags

logger = logging.getLogger(__name__)


def main(flags: Flags) -> int:
    """Answer gitlab-runner.

    Raises:
        DriverError: A wrong configuration, environment or job response.
    """
    env = RunnerEnvironment.from_environ(os.environ)
    loaded = settings.load(flags)
    log.setup(loaded.settings, job.load(env))
    # Once per job, and into the job's log only where the operator has no log of their own.
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    fargate = loaded.settings.fargate
    answer = {
        "driver": {"name": "fargate", "version": __version__},
        "hostname": socket.gethostname(),
        "builds_dir": fargate.builds_dir,
        "cache_dir": fargate.cache_dir,
    }
    json.dump({name: value for name, value in answer.items() if value is not None}, sys.stdout)
    sys.stdout.flush()
    return exits.succeeded(env)
