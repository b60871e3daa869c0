"""The one place that turns outcomes into the exit codes that gitlab-runner understands.

gitlab-runner takes exit code 0 as success, its BUILD_FAILURE_EXIT_CODE as the fault of the job's
script, and all else as a system failure. After a build failure it reads the script's real code
(`allow_failure:exit_codes`) from BUILD_EXIT_CODE_FILE. That file is one per job and the runner
never removes it, so each outcome here writes or removes it: a stale value would be reported for a
later stage. Source: https://docs.gitlab.com/runner/executors/custom/#error-handling.

On the path of every run stage: it imports nothing but os.
"""

from __future__ import annotations

import os

from fargate_driver.console import say
from fargate_driver.errors import DriverError, JobConfigurationError

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole module
if TYPE_CHECKING:
    from fargate_driver.gitlab.environment import RunnerEnvironment


def succeeded(env: RunnerEnvironment) -> int:
    """The stage did what it should."""
    _forget_code(env)  # what can't be removed now is replaced, or reported, by the next failure
    return 0


def script_failed(env: RunnerEnvironment, code: int) -> int:
    """The job's script ended with an exit code other than 0.

    Where the code can't be handed over, this is a system failure: the runner would take the
    script's code to be 1, and `allow_failure:exit_codes` would judge the job by a made-up value.

    Args:
        env: The call's environment.
        code: What the script exited with; 128+n where signal n ended it.
    """
    path = env.build_exit_code_file
    if path is None:
        return env.build_failure_exit_code
    part = f"{path}.{os.getpid()}"
    try:
        # The runner may read at any time after a timeout, so the file is never seen half-written.
        with open(part, "w", encoding="ascii") as file:
            file.write(f"{code}\n")
        os.replace(part, path)
    except OSError as error:
        _remove(part)
        say(f"the script exited with {code}, but {path} can't be written: {error.strerror}")
        return system_failed(env)
    return env.build_failure_exit_code


def job_failed(env: RunnerEnvironment) -> int:
    """The author of the job must mend something; no script of theirs has an exit code."""
    if not _forget_code(env):
        say(f"{env.build_exit_code_file} can't be removed: it would give this failure a wrong code")
        return env.system_failure_exit_code
    return env.build_failure_exit_code


def system_failed(env: RunnerEnvironment) -> int:
    """The infrastructure failed; `retry: when: runner_system_failure` may try again."""
    _forget_code(env)  # the runner doesn't read it after a system failure
    return env.system_failure_exit_code


def failed(env: RunnerEnvironment, error: DriverError) -> int:
    """Say what went wrong and give the exit code that fits the kind of error."""
    say(str(error))
    return job_failed(env) if isinstance(error, JobConfigurationError) else system_failed(env)


def _forget_code(env: RunnerEnvironment) -> bool:
    return env.build_exit_code_file is None or _remove(env.build_exit_code_file)


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
