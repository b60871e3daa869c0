"""Which failed starts are worth another one; the reasons are AWS's own words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs.errors import EcsError, StartTimeoutError, TaskStoppedError
from fargate_driver.ecs.transient import again

CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different"
    " availability zone"
)


def stopped(
    reason: str, code: str | None = "TaskFailedToStart", container: str | None = None
) -> TaskStoppedError:
    task: dict[str, Any] = {"desiredStatus": "STOPPED", "stoppedReason": reason}
    if code is not None:
        task["stopCode"] = code
    if container:
        task["containers"] = [{"name": "ci-coordinator", "reason": container}]
    return TaskStoppedError("the task stopped", task)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        # Bug 11: https://github.com/apache/airflow/issues/15000, about 1 % of all starts
        (stopped("Timeout waiting for network interface provisioning to complete."), "transient"),
        (stopped("Timeout waiting for EphemeralStorage provisioning to complete."), "transient"),
        (
            stopped(
                "CannotPullContainerError: Error response from daemon: Get https://registry/v2/:"
                " dial tcp 203.0.113.7:443: i/o timeout"
            ),
            "transient",
        ),
        (stopped("Task failed to start", container="CannotPullError: i/o timeout"), "transient"),
        (
            stopped(
                "Unexpected EC2 error while attempting to Create Network Interface with public IP"
                " assignment enabled in subnet 'subnet-0abc': InternalError"
            ),
            "transient",
        ),
        (stopped("InternalError: an internal error occurred", code=None), "transient"),
        (stopped(CAPACITY), "capacity"),
        (stopped("Your Spot Task was interrupted.", "SpotInterruption"), "capacity"),
        (stopped("ECS is performing maintenance", "TerminationNotice"), "capacity"),
        (
            stopped(
                "Unexpected EC2 error while attempting to Create Network Interface in subnet"
                " 'subnet-0abc': InsufficientFreeAddressesInSubnet"
            ),
            "capacity",
        ),
        # What an operator or an author must mend
        (
            stopped(
                "Unexpected EC2 error while attempting to Create Network Interface in subnet"
                " 'subnet-0abc': UnauthorizedOperation"
            ),
            None,
        ),
        (stopped("CannotPullContainerError: pull access denied for example"), None),
        (stopped("ResourceInitializationError: unable to pull secrets or registry auth"), None),
        (stopped("Essential container in task exited", "EssentialContainerExited"), None),
        (stopped("InternalError by a container", "EssentialContainerExited"), None),
        (stopped("i/o timeout, says somebody", "UserInitiated"), None),
        (TaskStoppedError("UNHEALTHY", {"desiredStatus": "RUNNING"}), None),
        # Bug 4: https://github.com/dagster-io/dagster/pull/24691, HTTP 200 with failures
        (EcsError(f"ECS started no task: {CAPACITY}", "RunTask", refused=True), "capacity"),
        (
            EcsError(
                "RunTask failed: ClientException: You've reached the limit on the number of vCPUs"
                " you can run concurrently",
                "RunTask",
                "ClientException",
                refused=True,
            ),
            "capacity",
        ),
        # Whether a task was started isn't known: another token could make two of one job.
        (EcsError(f"RunTask failed: {CAPACITY}", "RunTask", refused=False), None),
        (EcsError(f"DescribeTasks failed: {CAPACITY}", "DescribeTasks", refused=True), None),
        (EcsError("ECS started no task: RESOURCE:ENI", "RunTask", refused=True), None),
        (StartTimeoutError("late"), None),
    ],
)
def test_what_another_launch_may_mend(error: Exception, expected: str | None) -> None:
    assert again(error) == expected


@given(
    st.dictionaries(
        st.sampled_from(["desiredStatus", "stopCode", "stoppedReason"]),
        st.none() | st.text(max_size=40) | st.sampled_from(["STOPPED", "SpotInterruption"]),
    ),
    st.lists(st.dictionaries(st.just("reason"), st.none() | st.text(max_size=40)), max_size=3),
)
def test_any_task(task: dict[str, Any], containers: list[dict[str, Any]]) -> None:
    # Bug 8: https://github.com/apache/airflow/issues/51429, containers may be empty
    verdict = again(TaskStoppedError("stopped", {**task, "containers": containers}))
    assert verdict in ("capacity", "transient", None)
    if task.get("desiredStatus") != "STOPPED":
        assert verdict is None
