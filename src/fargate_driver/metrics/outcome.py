"""How a job ended, as gitlab-runner sees it, from what its stages answered.

The order of importance is gitlab-runner's own (`executeScript` and `pickPriorityError` in
https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/common/build.go): the first stage that
failed decides; of a stage that is tried again the last try counts; what after_script and the last
clean-up answer changes nothing for the job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.gitlab.stages import LAST
from fargate_driver.metrics.results import CANCELED as STOPPED
from fargate_driver.metrics.results import LOST

if TYPE_CHECKING:
    from collections.abc import Iterable

SUCCESS = "success"
SCRIPT_FAILURE = "script_failure"
SYSTEM_FAILURE = "system_failure"
CANCELED = "canceled"

_WITHOUT_A_SAY = ("clear_worktree", "after_script", LAST)


def of(stages: Iterable[tuple[str, str]], status: str) -> str:
    """Tell a job's outcome.

    A job that times out is `canceled` too: the driver is told of both by the same signal.

    Args:
        stages: name and result of each sub-stage of run, in order; results as in results.py.
        status: GitLab's CI_JOB_STATUS as cleanup finds it
            (https://docs.gitlab.com/ci/variables/predefined_variables/). It is of the moment
            before after_script; "" where unknown.

    Returns:
        One of the outcomes above.
    """
    if status == "canceled":
        return CANCELED
    for stage, result in dict(stages).items():  # the last result of each, in the first's place
        if stage in _WITHOUT_A_SAY or result == "0":
            continue
        if result == STOPPED:
            return CANCELED
        return SYSTEM_FAILURE if result == LOST else SCRIPT_FAILURE
    return SUCCESS if status == "success" else SYSTEM_FAILURE
