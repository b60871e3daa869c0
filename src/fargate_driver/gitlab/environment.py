"""What gitlab-runner puts into the environment of a call.

Source: https://docs.gitlab.com/runner/executors/custom/#environment-variables. Only this package
reads these variables. On the path of every run stage: it imports nothing.
"""

from __future__ import annotations

from fargate_driver.errors import DriverError

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole module
if TYPE_CHECKING:
    from collections.abc import Mapping

# Where gitlab-runner's own code for a system failure is unknown: any code other than 0 and its
# build failure code is a system failure to it, and 2 is what it hands out.
DEFAULT_SYSTEM_FAILURE = 2


class RunnerEnvironment:
    """The variables of one call.

    Attributes:
        build_failure_exit_code: Exit code for "the job's script is to blame".
        system_failure_exit_code: Exit code for "the infrastructure is to blame".
        build_exit_code_file: Where to leave the script's real exit code (since runner 17.9), or
            None.
        job_response_file: The job as GitLab sent it, as JSON (since runner 14.1), or None.
        tmpdir: The job's folder on the runner's host, which lasts until cleanup has ended, or None.
    """

    __slots__ = (
        "_environ",
        "build_exit_code_file",
        "build_failure_exit_code",
        "job_response_file",
        "system_failure_exit_code",
        "tmpdir",
    )

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.build_failure_exit_code = _exit_code(environ, "BUILD_FAILURE_EXIT_CODE")
        self.system_failure_exit_code = _exit_code(environ, "SYSTEM_FAILURE_EXIT_CODE")
        self.build_exit_code_file = environ.get("BUILD_EXIT_CODE_FILE") or None
        self.job_response_file = environ.get("JOB_RESPONSE_FILE") or None
        self.tmpdir = environ.get("TMPDIR") or None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> RunnerEnvironment:
        """Read a call's environment.

        Args:
            environ: Usually os.environ.

        Raises:
            DriverError: An exit code is missing or not between 1 and 255.
        """
        return cls(environ)

    def variable(self, name: str) -> str | None:
        """A CI/CD variable of the job, expanded; None where the job doesn't have it.

        The author of the job can set nearly every one of them, CI_JOB_ID included: never take
        identity or rights from here.
        """
        return self._environ.get("CUSTOM_ENV_" + name)


def system_failure_exit_code(environ: Mapping[str, str]) -> int:
    """The exit code for a system failure, whatever the environment looks like."""
    try:
        return _exit_code(environ, "SYSTEM_FAILURE_EXIT_CODE")
    except DriverError:
        return DEFAULT_SYSTEM_FAILURE


def _exit_code(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name, "")
    # Not int() alone: it takes "1_0", and refuses 5,000 digits with a text about its own limits.
    # Of other numbers the system hands on the lowest 8 bits: 256 would make each failure a success.
    if value.isascii() and value.isdigit() and len(value) < 10 and 0 < int(value) < 256:
        return int(value)
    wrong = f"{value[:40]!r} is no exit code" if value else "is not set"
    raise DriverError(
        f"{name}: {wrong}; gitlab-runner sets it: is this call from its custom executor?"
    )
