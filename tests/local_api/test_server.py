from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_api.fargate_under_test import (
    NAME,
    NETWORK,
    Fargate,
    fails,
    raw,
)


def test_unknown_operations(here: Fargate) -> None:
    assert raw(here, "MakeCoffee", b"{}")[1]["__type"] == "UnknownOperationException"
    fails(
        "UnknownOperationException", "CreateService", here.client().create_service, serviceName="x"
    )
    assert here.calls()[-1]["outcome"] == "UnknownOperationException"
    assert here.calls()[-1]["operation"] == "CreateService"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"\xff", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"tasks": NaN}', "SerializationException"),
        (b'{"tasks": "x"}', "SerializationException"),
        (b"{}", "InvalidParameterException"),
        (b'{"tasks": [], "what": 1}', "InvalidParameterException"),
        (b'{"tasks": null}', "InvalidParameterException"),
        (b'{"tasks": ["x"], "include": ["ALL"]}', "InvalidParameterException"),
        (b'{"tasks": ["\\ud800"]}', "InvalidParameterException"),
    ],
)
def test_malformed_requests(here: Fargate, body: bytes, code: str) -> None:
    status, answer = raw(here, "DescribeTasks", body)
    assert (status, answer["__type"]) == (400, code)
    assert len(answer["message"]) < 1000


def test_requests_without_a_signature(here: Fargate) -> None:
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks"}
    status, text = here.request("/", b"{}", target)
    assert (status, json.loads(text)["__type"]) == (400, "MissingAuthenticationTokenException")
    status, text = here.request("/", b"Action=DescribeNetworkInterfaces&Version=2016-11-15")
    assert status == 400
    assert "<Code>MissingAuthenticationToken</Code>" in text
    status, text = here.request("/", b"{}", {**target, "Authorization": "Basic x"})
    assert json.loads(text)["__type"] == "IncompleteSignatureException"


def test_calls_are_kept(here: Fargate) -> None:
    here.client().list_clusters()
    call = here.calls()[-1]
    assert set(call) == {"time", "operation", "outcome", "source"}
    assert (call["operation"], call["outcome"], call["source"]) == ("ListClusters", "ok", "driver")


def test_a_caller_may_give_its_name(here: Fargate) -> None:
    for agent, source in (("Botocore/1.34 app/my-tests.1 x", "my-tests.1"), ("myapp/1", "driver")):
        here.request("/", b"{}", {"X-Amz-Target": "x.ListClusters", "User-Agent": agent})
        assert here.calls()[-1]["source"] == source


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from([NAME, "aws:"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "environment", "value", "key", "subnets", "cpu", "memory"])
            | st.sampled_from(["containerOverrides", "awsvpcConfiguration", "capacityProvider"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)
PARAMETERS = ["cluster", "count", "overrides", "tags", "startedBy", "networkConfiguration"]
MORE = ["clientToken", "capacityProviderStrategy", "launchType", "group", "taskDefinition"]


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(PARAMETERS + MORE), VALUES, min_size=1, max_size=3))
def test_any_run_is_answered_without_an_internal_error(
    here: Fargate, changes: dict[str, Any]
) -> None:
    request = {"taskDefinition": NAME, "networkConfiguration": NETWORK} | changes
    before = len(here.tasks())
    status, answer = raw(here, "RunTask", json.dumps(request).encode())
    if status == 200:
        for task in answer["tasks"]:
            here.client().stop_task(task=task["taskArn"])
    else:
        assert status == 400, answer
        assert len(here.tasks()) == before
