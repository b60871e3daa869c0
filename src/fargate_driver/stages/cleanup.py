"""The stage `cleanup`: stop the task and remove all that the job left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fargate_driver import jobs
from fargate_driver.errors import DriverError
from fargate_driver.gitlab import exits, variables
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.stages import left, lock, operator
from fargate_driver.stages.cancel import ignore_sigterm
from fargate_driver.stages.counted import end_job_counted
from fargate_driver.stages.place import job_directory

if TYPE_CHECKING:
    from fargate_driver.flags import Flags


def main(flags: Flags) -> int:
    """End what the job left; nothing to end is a success.

    gitlab-runner calls this after every try of prepare and at the end of the job, shows stderr in
    its own log only, and never calls it again.

    Args:
        flags: the command line's global flags.

    Returns:
        The exit code for gitlab-runner.

    Raises:
        DriverError: something may be left.
    """
    ignore_sigterm()
    env = RunnerEnvironment.from_environ(os.environ)
    try:
        variables.hide_secrets(env)
    finally:
        # Whatever comes of that: a task that is left costs more.
        _clean(flags, env)
    return exits.succeeded(env)


def _clean(flags: Flags, env: RunnerEnvironment) -> None:
    job_id = env.variable("CI_JOB_ID") or ""
    directory = jobs.linked(env.tmpdir, job_id)
    if not directory:
        try:
            directory = job_directory(flags, env)
        except DriverError as e:
            raise DriverError(
                f"{e}; so the job's record can't be found: what it left is for `fargate reap`"
            ) from e
    status = env.variable("CI_JOB_STATUS")
    try:
        with lock.for_cleanup(directory):
            # The container lets a stage that runs go on for a while when it is stopped.
            left.end(directory, hurry=True)
            cause = f"the job is over ({status})" if status else "the job is over"
            problem = end_job_counted(directory, cause, status or "")
        if problem:
            operator.tell(flags, env, problem)
        jobs.unlink(env.tmpdir, job_id)
    except DriverError as e:
        operator.tell(flags, env, str(e))
        raise
