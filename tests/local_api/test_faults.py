from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_driver.local.faults import Faults, RuleError
from local_api.fargate_under_test import NETWORK, Fargate, fargate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRATEGY = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]


def code_of(error: ClientError) -> str:
    code: str = error.response["Error"]["Code"]
    return code


def outcomes(here: Fargate, operation: str) -> list[str]:
    return [call["outcome"] for call in here.calls() if call["operation"] == operation]


def test_an_error_as_often_as_the_rule_says(here: Fargate) -> None:
    here.faults(
        {
            "operation": "RunTask",
            "error": "ThrottlingException",
            "message": "Rate exceeded",
            "status": 400,
            "times": 2,
        }
    )
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            here.run()
        assert code_of(caught.value) == "ThrottlingException"
        assert caught.value.response["Error"]["Message"] == "Rate exceeded"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    here.run()
    assert outcomes(here, "RunTask")[-3:] == ["ThrottlingException"] * 2 + ["ok"]


def test_once_unless_told_otherwise_and_the_first_rule_wins(here: Fargate) -> None:
    here.faults(
        {"operation": "StopTask", "error": "ServerException"},
        {"operation": "StopTask", "error": "AccessDeniedException"},
    )
    task = here.run()
    for code, status in (("ServerException", 500), ("AccessDeniedException", 400)):
        with pytest.raises(ClientError) as caught:
            here.client().stop_task(task=task["taskArn"])
        assert code_of(caught.value) == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    here.client().stop_task(task=task["taskArn"])


def test_failures_of_run_task(here: Fargate) -> None:
    before = len(here.tasks())
    failure = {"reason": "RESOURCE:MEMORY", "detail": "none left"}
    here.faults({"operation": "RunTask", "failure": failure})
    answer = here.client().run_task(taskDefinition="ci-coordinator", networkConfiguration=NETWORK)
    assert answer["tasks"] == []
    assert answer["failures"] == [failure]
    assert len(here.tasks()) == before


def test_a_reset_has_no_effect(here: Fargate) -> None:
    before = len(here.tasks())
    here.faults({"operation": "RunTask", "reset": True})
    with pytest.raises(ConnectionClosedError):
        here.run()
    assert len(here.tasks()) == before
    assert outcomes(here, "RunTask")[-1] == "ConnectionReset"


def test_a_reset_is_one_for_tcp_too(here: Fargate) -> None:
    address, port = here.url.removeprefix("http://").split(":")
    for rule in ({"reset": True}, {"lose_answer": True}):
        here.faults({"operation": "ListTasks", **rule})
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                b"X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListTasks\r\n"
                b"Authorization: AWS4 Credential=x/20260101/eu-west-1/ecs/aws4_request\r\n\r\n{}"
            )
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_a_lost_answer_has_its_effect_and_the_token_finds_it(here: Fargate) -> None:
    before = len(here.tasks())
    here.faults({"operation": "RunTask", "lose_answer": True})
    with pytest.raises(ConnectionClosedError):
        here.run(clientToken="token-of-a-lost-answer")
    assert len(here.tasks()) == before + 1
    assert outcomes(here, "RunTask")[-1] == "AnswerLost"
    assert here.run(clientToken="token-of-a-lost-answer")["taskArn"] == here.tasks()[-1]["taskArn"]


def test_a_hang_comes_before_the_effect(here: Fargate) -> None:
    before = len(here.tasks())
    here.faults({"operation": "RunTask", "hang": 0.5})
    launching = threading.Thread(target=here.run)
    launching.start()
    while "pending" not in outcomes(here, "RunTask"):
        time.sleep(0.01)
    assert len(here.tasks()) == before
    launching.join()
    assert len(here.tasks()) == before + 1


def test_a_hang_with_a_lost_answer_comes_after_the_effect(here: Fargate) -> None:
    before = len(here.tasks())
    here.faults({"operation": "RunTask", "hang": 0.5, "lose_answer": True})
    errors: list[Exception] = []

    def launch() -> None:
        try:
            here.run()
        except ConnectionClosedError as error:
            errors.append(error)

    launching = threading.Thread(target=launch)
    launching.start()
    while "pending" not in outcomes(here, "RunTask"):
        time.sleep(0.01)
    assert len(here.tasks()) == before + 1
    launching.join()
    assert len(errors) == 1


def test_a_client_that_gives_up_does_not_undo_the_effect(here: Fargate) -> None:
    before = len(here.tasks())
    here.faults({"operation": "RunTask", "hang": 0.4})
    with pytest.raises(ReadTimeoutError):
        here.client(timeout=0.1).run_task(
            taskDefinition="ci-coordinator", networkConfiguration=NETWORK
        )
    deadline = time.monotonic() + 10
    while len(here.tasks()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_new_task_is_missing_for_a_while(here: Fargate) -> None:
    here.faults(
        {"operation": "DescribeTasks", "missing_for": 0.3},
        {"operation": "DescribeTasks", "error": "ServerException"},
    )
    task = here.run()
    answer = here.client().describe_tasks(tasks=[task["taskArn"]])
    assert answer["tasks"] == []
    assert answer["failures"] == [{"arn": task["taskArn"], "reason": "MISSING"}]
    time.sleep(0.3)
    with pytest.raises(ClientError, match="ServerException"):  # the first rule is without effect
        here.describe(task)
    assert here.describe(task)["taskArn"] == task["taskArn"]


def test_rules_for_a_capacity_provider(here: Fargate) -> None:
    here.faults(
        {"operation": "RunTask", "error": "ServerException", "capacity_provider": "FARGATE_SPOT"},
        {"task": {"start_delay": 60}, "capacity_provider": "FARGATE_SPOT"},
        {"operation": "StopTask", "error": "ClientException", "capacity_provider": "FARGATE_SPOT"},
    )
    on_demand = here.until(here.run(), "RUNNING")
    with pytest.raises(ClientError, match="ServerException"):
        here.run(capacityProviderStrategy=STRATEGY)
    spot = here.run(capacityProviderStrategy=STRATEGY)
    assert spot["capacityProviderName"] == "FARGATE_SPOT"
    here.stop(on_demand)
    with pytest.raises(ClientError, match="ClientException"):
        here.stop(spot)
    assert here.describe(spot)["lastStatus"] == "PROVISIONING"


def test_rules_for_ec2(here: Fargate) -> None:
    here.faults(
        {"operation": "DescribeNetworkInterfaces", "error": "UnauthorizedOperation", "status": 403}
    )
    with pytest.raises(ClientError) as caught:
        here.client("ec2").describe_network_interfaces()
    assert code_of(caught.value) == "UnauthorizedOperation"


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"])
def test_a_task_that_stops_at_a_status(here: Fargate, status: str) -> None:
    here.faults(
        {
            "task": {
                "stop_at": status,
                "stop_code": "TerminationNotice",
                "stopped_reason": "Timeout waiting for network interface provisioning",
                "container_reason": "because",
            }
        }
    )
    stopped = here.until(here.run(), "STOPPED")
    assert stopped["stopCode"] == "TerminationNotice"
    assert stopped["stoppedReason"] == "Timeout waiting for network interface provisioning"
    assert stopped["containers"][0]["reason"] == "because"
    assert ("startedAt" in stopped) == (status == "RUNNING")
    assert ("pullStoppedAt" in stopped) == (status in {"ACTIVATING", "RUNNING"})


def test_a_task_that_never_starts(here: Fargate) -> None:
    here.faults({"task": {"never_starts": True}})
    task = here.run()
    assert task["lastStatus"] == "PROVISIONING"
    assert task["containers"] == task["attachments"] == []
    assert here.stop(task)["stopCode"] == "UserInitiated"


def test_an_unhealthy_container(here: Fargate) -> None:
    here.faults({"task": {"unhealthy": True}})
    running = here.until(here.run(), "RUNNING")
    assert running["healthStatus"] == running["containers"][0]["healthStatus"] == "UNHEALTHY"


def test_what_the_runtime_is_told_of_sshd(tmp_path: Path) -> None:
    with fargate(tmp_path, time_scale=0.5) as here:
        here.faults(
            {"task": {"sshd_delay": 3, "sshd_refuses_key": 4, "sshd_other_host_key": True}},
            {"task": {"sshd_refuses_key": True}},
        )
        for _ in range(3):
            here.until(here.run(), "RUNNING")
        first, second, third = (task.spec.ssh for task in here.runtime.started)
    assert (first.delay, first.refuses_key, first.other_host_key) == (1.5, 2.0, True)
    assert second.refuses_key == float("inf")
    assert (third.delay, third.refuses_key, third.other_host_key) == (0, 0, False)


def test_a_spot_interruption(here: Fargate) -> None:
    here.faults({"task": {"interrupt_after": 0.1, "grace": 7}})
    task = here.run(capacityProviderStrategy=STRATEGY)
    stopped = here.until(task, "STOPPED")
    assert stopped["stopCode"] == "SpotInterruption"
    assert stopped["stoppedReason"] == "Your Spot Task was interrupted."
    assert here.runtime.started[-1].container.events == ["stop 7"]
    assert (stopped["stoppingAt"] - stopped["startedAt"]).total_seconds() >= 0.09


def test_a_container_that_exits(here: Fargate) -> None:
    here.faults(
        {
            "task": {
                "container_exits_after": 0.1,
                "exit_code": 9,
                "container_reason": "OutOfMemoryError: Container killed due to memory usage",
            }
        }
    )
    stopped = here.until(here.run(), "STOPPED")
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["containers"][0]["exitCode"] == 9
    assert stopped["containers"][0]["reason"].startswith("OutOfMemoryError")
    assert here.runtime.started[-1].container.events == ["stop 0"]


def test_faults_of_the_running_script_and_its_network(here: Fargate) -> None:
    here.faults({"task": {"script_oom_after": 0.05, "blackhole_after": 0.1}})
    task = here.until(here.run(), "RUNNING")
    running = here.runtime.started[-1]
    deadline = time.monotonic() + 10
    while running.events != ["script killed", "blackhole"]:
        assert time.monotonic() < deadline, running.events
        time.sleep(0.01)
    assert here.describe(task)["lastStatus"] == "RUNNING"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ([], "rule 2: must be a JSON object"),
        ({}, "rule 2: needs exactly one of the keys operation and task"),
        ({"operation": "RunTask", "task": {}}, "rule 2: needs exactly one of the keys"),
        ({"operation": "RunTask"}, "rule 2: error, failure, reset, lose_answer, hang or"),
        ({"operation": "RunTaks", "reset": True}, "rule 2: operation is not one of ECS's, EC2's"),
        ({"operation": "RunTask", "resett": True}, "rule 2: resett: unknown key"),
        ({"operation": "RunTask", "hang": "5"}, "rule 2: hang: Input should be a valid number"),
        ({"operation": "RunTask", "hang": -1}, "rule 2: hang: Input should be greater than or eq"),
        ({"operation": "RunTask", "reset": True, "times": 0}, "rule 2: times: "),
        ({"operation": "RunTask", "missing_for": 1}, "rule 2: missing_for is for DescribeTasks"),
        (
            {"operation": "StopTask", "failure": {"reason": ""}},
            "rule 2: failure is for RunTask only",
        ),
        (
            {"operation": "RunTask", "reset": True, "error": "X"},
            "rule 2: error, failure, reset, los",
        ),
        ({"operation": "RunTask", "message": "X", "reset": True}, "rule 2: message needs error"),
        ({"task": {"start": 1}}, "rule 2: task.start: unknown key"),
        ({"task": {"stop_at": "STOPPED"}}, "rule 2: task.stop_at: Input should be 'PROVISIONING'"),
        ({"task": {"stop_code": "TaskFailedToStart"}}, "rule 2: task: stop_code needs stop_at"),
        ({"task": {"stop_at": "PENDING", "stop_code": "X"}}, "rule 2: task: stop_code must be one"),
        ({"task": {"grace": 1}}, "rule 2: task: grace needs interrupt_after"),
        ({"task": {"exit_code": 1}}, "rule 2: task: exit_code needs container_exits_after"),
        ({"task": 5}, "rule 2: task: Input should be a valid dictionary"),
    ],
)
def test_a_malformed_rule_is_named(here: Fargate, rule: Any, says: str) -> None:
    here.faults({"operation": "ListTasks", "error": "ServerException"})
    rules = [{"operation": "StopTask", "reset": True}, rule]
    status, text = here.request("/_faults", json.dumps(rules).encode())
    assert status == 400
    assert text.startswith(says)
    assert text.count("\n") == 1
    with pytest.raises(ClientError, match="ServerException"):  # the former rules are in force
        here.client().list_tasks()


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"3", b"\xff", b"[NaN]", b"[" * 100_000])
def test_what_is_no_rule_list(here: Fargate, body: bytes) -> None:
    status, text = here.request("/_faults", body or b" ")
    assert status == 400
    assert text.count("\n") == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = ["operation", "task", "error", "hang", "reset", "times", "failure", "missing_for", "status"]
TASK_KEYS = ["start_delay", "stop_at", "grace", "interrupt_after", "sshd_refuses_key", "exit_code"]


def rules() -> st.SearchStrategy[Any]:
    task = st.dictionaries(st.sampled_from(TASK_KEYS) | st.text(), JSON)
    operation = st.just({"operation": "RunTask"})
    body = st.dictionaries(st.sampled_from(KEYS) | st.text(), JSON | task)
    return st.lists(st.builds(lambda a, b: {**a, **b}, operation | st.just({}), body) | JSON) | JSON


@settings(max_examples=40)
@given(rules())
def test_any_rule_list_is_taken_or_refused_in_one_line(value: Any) -> None:
    try:
        Faults().replace(value)
    except RuleError as error:
        text = str(error)
        assert len(text.splitlines()) == 1
        assert len(text) < 500
        text.encode()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fargate]:
    rule = [{"operation": "ListTasks", "hang": 300}]
    with fargate(tmp_path_factory.mktemp("slow"), time_scale=0.001, rules=rule) as here:
        yield here


def test_the_time_scale_holds_for_rules_and_those_given_at_the_start(slow: Fargate) -> None:
    begun = time.monotonic()
    slow.client().list_tasks()
    assert time.monotonic() - begun >= 0.3


def test_the_time_scale_holds_for_missing_tasks(slow: Fargate) -> None:
    slow.faults({"operation": "DescribeTasks", "missing_for": 10_000})
    task = slow.run()
    assert slow.client().describe_tasks(tasks=[task["taskArn"]])["failures"]
    slow.faults({"operation": "DescribeTasks", "missing_for": 0.001})
    assert slow.client().describe_tasks(tasks=[task["taskArn"]])["tasks"]
