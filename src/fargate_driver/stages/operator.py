"""Telling the operator's log what the stages that read no configuration have to say."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from fargate_driver import jobs, log, records, settings
from fargate_driver.errors import DriverError
from fargate_driver.gitlab import job

if TYPE_CHECKING:
    from fargate_driver.flags import Flags
    from fargate_driver.gitlab.environment import RunnerEnvironment


def tell(flags: Flags, env: RunnerEnvironment, text: str) -> None:
    """Write a failure into the operator's LogFile, where there is one and it can be found.

    Without a LogFile the operator's log is stderr, where the failure is said anyway.

    Args:
        flags: the command line's global flags.
        env: the call's environment.
        text: what failed.
    """
    try:
        config = settings.load(flags).settings
        if config.log_file:
            log.setup(config, job.load(env))
            _name_task(env)
            logging.getLogger(__name__).error("%s", text)
    except DriverError:
        return  # the failure itself matters more than why it can't be logged


def _name_task(env: RunnerEnvironment) -> None:
    directory = jobs.linked(env.tmpdir, env.variable("CI_JOB_ID") or "")
    with contextlib.suppress(DriverError):
        record = records.load(directory) if directory else None
        if record and record.task_arn:
            log.add(task=record.task_arn.rpartition("/")[2])
