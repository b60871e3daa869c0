"""Which failed starts are worth another one; the reasons are AWS's own words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs import diagnosis
from fargate_driver.ecs.again import again
from fargate_driver.ecs.errors import NO_TASK_STARTED, EcsError, TaskStoppedError
from fargate_driver.ecs.facts import CONTAINER_EXITED
from fargate_driver.ecs.verdict import Retry

CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different"
    " availability zone"
)
ENI = "Timeout waiting for network interface provisioning to complete."
EC2 = "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc': "
PULL_TIMED_OUT = "CannotPullContainerError: dial tcp 203.0.113.7:443: i/o timeout"
QUOTA = "You've reached the limit on the number of vCPUs you can run concurrently"
NEVER, RELAUNCH, NEXT, WAIT = Retry.NEVER, Retry.RELAUNCH, Retry.NEXT_CAPACITY, Retry.WAIT


def stopped(
    reason: str,
    code: str | None = "TaskFailedToStart",
    exit_code: int | None = None,
    said: str = "",
    containers: list[dict[str, Any]] | None = None,
) -> TaskStoppedError:
    task: dict[str, Any] = {"desiredStatus": "STOPPED", "stoppedReason": reason}
    if code is not None:
        task["stopCode"] = code
    if said or exit_code is not None:
        containers = [{"name": "ci-coordinator", "reason": said, "exitCode": exit_code}]
    task["containers"] = containers or []
    return TaskStoppedError("it stopped", task, diagnosis.of_stopped_task(task))


def failed(reason: str, *, refused: bool = True) -> EcsError:
    verdict = diagnosis.of_failures([{"reason": reason}])
    return EcsError("none", "RunTask", NO_TASK_STARTED, reason, refused=refused, verdict=verdict)


def error(code: str, message: str, operation: str = "RunTask", *, refused: bool = True) -> EcsError:
    verdict = diagnosis.of_api_error(operation, code, message, status=400)
    return EcsError("failed", operation, code, message, refused=refused, verdict=verdict)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        # Bug 11: https://github.com/apache/airflow/issues/15000, about 1 % of all starts
        (stopped(ENI), RELAUNCH),
        (stopped("Timeout waiting for EphemeralStorage provisioning to complete."), RELAUNCH),
        (
            stopped(
                "CannotPullContainerError: Error response from daemon: Get https://registry/v2/:"
                " dial tcp 203.0.113.7:443: i/o timeout"
            ),
            RELAUNCH,
        ),
        (stopped("Task failed to start", said="CannotPullError: i/o timeout"), RELAUNCH),
        (stopped(f"{EC2}InternalError"), RELAUNCH),
        (stopped("InternalError: an internal error occurred", code=None), RELAUNCH),
        # https://github.com/apache/airflow/issues/15000: all that ECS says at times
        (stopped("Task failed to start"), RELAUNCH),
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
        (stopped("CannotPullContainerError: ERROR: toomanyrequests: Too Many Requests."), WAIT),
        # An old platform's stop code for a pull that failed: nothing ran.
        # https://github.com/aws/amazon-ecs-agent/issues/1654
        (
            stopped(
                "Essential container in task exited",
                "EssentialContainerExited",
                said="CannotPullContainerError: i/o timeout",
            ),
            RELAUNCH,
        ),
        (stopped(CAPACITY), NEXT),
        (stopped(f"{EC2}InsufficientFreeAddressesInSubnet"), NEXT),
        # AWS took the machine back, before or after RUNNING:
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html (stopCode)
        (stopped("Your Spot Task was interrupted.", "SpotInterruption", 137), NEXT),
        (stopped("Your Spot Task was interrupted.", "TerminationNotice", 137), NEXT),
        (stopped("", "TerminationNotice", 137), RELAUNCH),
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
        (
            stopped(
                "ECS is performing maintenance on the underlying infrastructure hosting the task",
                "ServiceSchedulerInitiated",
                143,
            ),
            RELAUNCH,
        ),
        # What an operator or an author must mend. EC2's own codes:
        # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        (stopped(f"{EC2}UnauthorizedOperation"), NEVER),
        (stopped(f"{EC2}AuthFailure"), NEVER),
        (stopped(f"{EC2}AccessDenied"), NEVER),
        (stopped(f"{EC2}InvalidSubnetID.NotFound"), NEVER),
        (stopped(f"{EC2}InvalidGroup.NotFound"), NEVER),
        (stopped(f"{EC2}InvalidVpcID.NotFound"), NEVER),
        (stopped("CannotPullContainerError: pull access denied for example"), NEVER),
        (
            stopped(
                "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit."
            ),
            NEVER,
        ),
        (stopped("ResourceInitializationError: unable to pull secrets or registry auth"), NEVER),
        (stopped("Essential container in task exited", "EssentialContainerExited", 1), NEVER),
        (stopped("InternalError", "EssentialContainerExited", 1), NEVER),
        (stopped("exited", "EssentialContainerExited", 1, ENI), NEVER),
        # Somebody's own words, the driver's included, quote anything.
        (stopped(f"says somebody: {ENI}", "UserInitiated"), NEVER),
        (stopped(f"another task takes its place: {CAPACITY}", "UserInitiated"), NEVER),
        (stopped("Task failed container health checks", "ServiceSchedulerInitiated"), NEVER),
        (stopped("The moon is in the wrong house."), NEVER),
        # The driver's own verdict on a task that runs
        (TaskStoppedError("UNHEALTHY", {"desiredStatus": "RUNNING"}), NEVER),
        # Bug 4: https://github.com/dagster-io/dagster/pull/24691, HTTP 200 with failures
        (failed(CAPACITY), NEXT),
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
        (failed("RESOURCE:ENI"), NEXT),
        (failed("Internal error."), NEXT),
        # Bug 3, in one more wrapping: https://github.com/dagster-io/dagster/issues/33439
        (failed("Error retrieving subnet information: Rate exceeded"), WAIT),
        (failed("The requested CPU configuration is above your limit"), NEVER),
        (error("ClientException", QUOTA), NEXT),
        (error("InvalidParameterException", "No Container Instances were found"), NEVER),
        # The client has waited for as long as there was time.
        (error("ThrottlingException", "Rate exceeded"), NEVER),
        (error("", 'Could not connect to the endpoint URL: "http://127.0.0.1:9"'), NEVER),
        # Whether a task was started isn't known: another token could make two of one job.
        (failed(CAPACITY, refused=False), NEVER),
        (error("ClientException", QUOTA, refused=False), NEVER),
        (error("ClientException", CAPACITY, "DescribeTasks"), NEVER),
        (EcsError("ECS does not know the task that it started", "DescribeTasks"), NEVER),
    ],
)
def test_what_another_launch_may_mend(cause: EcsError | TaskStoppedError, expected: Retry) -> None:
    assert again(cause, "ci-coordinator") is expected


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [(None, PULL_TIMED_OUT, RELAUNCH), (1, PULL_TIMED_OUT, NEVER), (137, "", NEVER)],
)
@pytest.mark.parametrize("essential", [(), ("ci-coordinator", "helper")])
def test_only_the_end_of_a_container_that_counts_is_one(
    code: int | None, reason: str, expected: Retry, essential: tuple[str, ...]
) -> None:
    containers: list[dict[str, Any]] = [
        {"name": "injector", "exitCode": 0},
        {"name": "helper", "exitCode": 137},
        {"name": "ci-coordinator", "exitCode": code, "reason": reason},
    ]
    cause = stopped("Essential container in task exited", CONTAINER_EXITED, containers=containers)
    assert again(cause, "ci-coordinator", essential) is expected


@given(
    st.dictionaries(
        st.sampled_from(["desiredStatus", "stopCode", "stoppedReason"]),
        st.none() | st.text(max_size=40) | st.sampled_from(["STOPPED", "SpotInterruption", ENI]),
    ),
    st.lists(st.dictionaries(st.just("reason"), st.none() | st.text(max_size=40)), max_size=3),
)
def test_any_task(task: dict[str, Any], containers: list[dict[str, Any]]) -> None:
    # Bug 8: https://github.com/apache/airflow/issues/51429, containers may be empty
    task = {**task, "containers": containers}
    cause = TaskStoppedError("stopped", task, diagnosis.of_stopped_task(task))
    retry = again(cause, "ci-coordinator", ["helper"])
    if task.get("desiredStatus") != "STOPPED" or task.get("stopCode") == "UserInitiated":
        assert retry is NEVER
