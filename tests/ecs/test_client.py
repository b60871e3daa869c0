"""The ECS client against the embedded endpoint, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import http_peer
from fargate_driver import masking
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.target import Target
from free_port import free_port
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate")) as running:
        yield running


@pytest.fixture
def fargate(shared: LocalFargate) -> Iterator[LocalFargate]:
    shared.faults()
    yield shared
    ecs = client(shared)
    for task in shared.alive():
        ecs.stop_task(task["taskArn"], "the test is over")


def client(fargate: LocalFargate, patience: float = 20) -> Ecs:
    target = Target("us-east-1", "default", fargate.url, None)
    return Ecs(target, deadline=time.monotonic() + patience)


def request(token: str, **more: Any) -> dict[str, Any]:
    vpc = {"subnets": ["subnet-0abc"], "securityGroups": ["sg-0abc"], "assignPublicIp": "DISABLED"}
    return {
        "cluster": "default",
        "taskDefinition": "ci-coordinator",
        "networkConfiguration": {"awsvpcConfiguration": vpc},
        "clientToken": token,
        **more,
    }


def test_a_lost_answer_is_the_same_task(fargate: LocalFargate) -> None:
    fargate.faults({"operation": "RunTask", "lose_answer": True})
    before = len(fargate.tasks())
    task = client(fargate).run_task(request("lost-answer"))
    assert len(fargate.tasks()) == before + 1
    assert fargate.tasks()[-1]["taskArn"] == task["taskArn"]


WRAPPED_THROTTLING = (
    "Error retrieving subnet information for [subnet-0abc]: Rate exceeded (ErrorCode: Throttling)"
)


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("ThrottlingException", "Rate exceeded", 400),
        # https://github.com/dagster-io/dagster/issues/33439
        ("InvalidParameterException", WRAPPED_THROTTLING, 400),
        ("ServerException", "Service Unavailable. Please try again later.", 500),
    ],
)
def test_throttling_and_server_errors_are_tried_again(
    fargate: LocalFargate, code: str, message: str, status: int
) -> None:
    rule = {"operation": "RunTask", "error": code, "message": message, "status": status}
    fargate.faults(rule | {"times": 2})
    calls = len(fargate.calls("RunTask"))
    assert client(fargate).run_task(request(f"again-{code}"))["taskArn"]
    assert [c["outcome"] for c in fargate.calls("RunTask")[calls:]] == [code, code, "ok"]


def test_trying_again_ends_at_the_deadline(fargate: LocalFargate) -> None:
    fargate.faults(
        {"operation": "RunTask", "error": "ThrottlingException", "message": "Rate exceeded"}
        | {"times": 1000}
    )
    begun = time.monotonic()
    with pytest.raises(EcsError, match="RunTask failed: ThrottlingException: Rate exceeded") as e:
        client(fargate, patience=1).run_task(request("throttled"))
    assert time.monotonic() - begun < 10
    assert e.value.refused


def test_a_refusal_after_a_lost_answer_refuses_nothing(fargate: LocalFargate) -> None:
    fargate.faults(
        {"operation": "RunTask", "lose_answer": True},
        {"operation": "RunTask", "error": "AccessDeniedException", "message": "no", "status": 400},
    )
    with pytest.raises(EcsError) as e:
        client(fargate).run_task(request("uncertain"))
    assert not e.value.refused


def test_no_capacity_after_a_lost_answer_refuses_nothing(fargate: LocalFargate) -> None:
    # Bug 5: https://github.com/apache/airflow/pull/16150, tasks in spite of failures
    fargate.faults(
        {"operation": "RunTask", "lose_answer": True},
        {"operation": "RunTask", "failure": {"reason": "Capacity is unavailable at this time"}},
    )
    with pytest.raises(EcsError, match="ECS started no task") as e:
        client(fargate).run_task(request("ghost"))
    assert not e.value.refused


def test_failures_of_run_task_are_told_in_full(fargate: LocalFargate) -> None:
    reason = "Capacity is unavailable at this time. Please try again later"
    fargate.faults({"operation": "RunTask", "failure": {"reason": reason, "detail": "us-east-1a"}})
    with pytest.raises(EcsError, match=f"ECS started no task: {reason}.*: us-east-1a") as e:
        client(fargate).run_task(request("no-capacity"))
    assert e.value.refused


def test_a_denied_action_is_named_with_a_hint(fargate: LocalFargate) -> None:
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/ci/i-0abc is not authorized to perform:"
        " ecs:StopTask on resource: arn:aws:ecs:us-east-1:123456789012:task/default/0"
    )
    fargate.faults({"operation": "StopTask", "error": "AccessDeniedException", "message": message})
    with pytest.raises(
        EcsError,
        match=r"allow ecs:StopTask on .* in the policies of role ci",
    ):
        client(fargate).stop_task("arn:aws:ecs:us-east-1:123456789012:task/default/0", "x")


def test_no_default_strategy_is_explained(fargate: LocalFargate) -> None:
    message = "No Container Instances were found in your cluster."
    fargate.faults(
        {"operation": "RunTask", "error": "InvalidParameterException", "message": message}
    )
    with pytest.raises(EcsError, match="no default capacity provider strategy"):
        client(fargate).run_task(request("no-strategy"))


def test_stopping_what_is_gone_is_no_failure(fargate: LocalFargate) -> None:
    ecs = client(fargate)
    task = ecs.run_task(request("stopped-twice"))["taskArn"]
    ecs.stop_task(task, "first")
    ecs.stop_task(task, "second")
    ecs.stop_task(f"arn:aws:ecs:us-east-1:123456789012:task/default/{'0' * 32}", "never was")
    until(lambda: task not in [t["taskArn"] for t in fargate.alive()])


def test_the_reason_of_a_stop_fits_and_has_no_secret(
    fargate: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "not  a  secret"
    monkeypatch.setattr(masking, "_known", {secret})
    arn = client(fargate).run_task(request("reason"))["taskArn"]
    client(fargate).stop_task(arn, f"job 7:\n{secret} {'x' * 220} {secret}")
    (task,) = [one for one in fargate.tasks() if one["taskArn"] == arn]
    assert task["stoppedReason"] == f"job 7: [MASKED] {'x' * 220} [MASKED]"
    arn = client(fargate).run_task(request("long-reason"))["taskArn"]
    client(fargate).stop_task(arn, f"{'x' * 245} {secret}")
    (task,) = [one for one in fargate.tasks() if one["taskArn"] == arn]
    assert task["stoppedReason"] == f"{'x' * 245} [MASKED]"


def test_a_token_with_other_parameters_names_its_task(fargate: LocalFargate) -> None:
    ecs = client(fargate)
    task = ecs.run_task(request("conflict"))["taskArn"]
    with pytest.raises(EcsError) as e:
        ecs.run_task(request("conflict", startedBy="another"))
    assert e.value.code == "ConflictException"
    assert not e.value.refused
    assert ecs.tasks_of_conflict(e.value) == [task]


def test_an_unknown_task_is_none(fargate: LocalFargate) -> None:
    arn = f"arn:aws:ecs:us-east-1:123456789012:task/default/{'0' * 32}"
    assert client(fargate).describe_task(arn) is None


def test_nobody_listening_is_tried_again_and_told_in_one_line() -> None:
    target = Target("us-east-1", "default", f"http://127.0.0.1:{free_port()}", None)
    begun = time.monotonic()
    with pytest.raises(EcsError, match="Could not connect to the endpoint URL") as e:
        Ecs(target, deadline=time.monotonic() + 2).run_task(request("nobody"))
    assert time.monotonic() - begun > 0.5
    assert "\n" not in str(e.value)
    # Nothing was sent, so nothing was started.
    assert e.value.refused


def test_a_server_that_comes_back_is_reached() -> None:
    port = free_port()
    target = Target("us-east-1", "default", f"http://127.0.0.1:{port}", None)
    ecs = Ecs(target, deadline=time.monotonic() + 30)
    with ExitStack() as stack:
        server = http_peer.serving(no_task, port=port)
        late = threading.Timer(1.5, stack.enter_context, [server])
        late.start()
        assert ecs.describe_task("0" * 32) is None
        late.join()


def no_task(_: http_peer.Request) -> http_peer.Answer:
    """An ECS that knows no task."""
    answer = {"tasks": [], "failures": [{"arn": "0" * 32, "reason": "MISSING"}]}
    return http_peer.Answer(body=json.dumps(answer).encode())


def test_no_proxy_stands_before_a_loopback_endpoint(
    fargate: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert client(fargate, 2).describe_task("0" * 32) is None


@pytest.mark.parametrize(
    ("service", "endpoint", "called"),
    [
        ("ecs", None, "https://ecs.us-east-1.amazonaws.com"),
        ("ecs", "https://vpce-0abc.ecs.example.com", "https://vpce-0abc.ecs.example.com"),
        ("ec2", "https://vpce-0abc.ecs.example.com", "https://ec2.us-east-1.amazonaws.com"),
        ("logs", "https://vpce-0abc.ecs.example.com", "https://logs.example.com"),
        ("logs", "http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("ec2", "http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_the_endpoint_of_ecs_is_no_other_services(
    monkeypatch: pytest.MonkeyPatch, service: str, endpoint: str | None, called: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "https://logs.example.com")
    ecs = Ecs(Target("us-east-1", "default", endpoint, None), deadline=time.monotonic())
    assert ecs._client(service).meta.endpoint_url == called


def test_own_credentials_are_used_where_there_are_some(
    fargate: LocalFargate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    ecs = client(fargate)
    assert ecs._session.get_credentials().access_key == "AKIAEXAMPLE"
    assert ecs.describe_task("0" * 32) is None
