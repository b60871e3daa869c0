"""Answers that are none of AWS's, over real HTTP: one line, and no proof of anything."""

from __future__ import annotations

import copy
import gzip
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import http_peer
from fargate_driver.ecs import diagnosis, watch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARN = "arn:aws:ecs:us-east-1:123456789012:task/ci/" + "0" * 32
TASK = {
    "taskArn": ARN,
    "lastStatus": "RUNNING",
    "desiredStatus": "RUNNING",
    "createdAt": 1764540000.5,
    "cpu": "256",
    "memory": "512",
    "containers": [
        {
            "name": "job",
            "exitCode": 137,
            "reason": "OutOfMemoryError",
            "memory": "512",
            "networkInterfaces": [{"privateIpv4Address": "192.0.2.7"}],
        }
    ],
    "attachments": [
        {
            "type": "ElasticNetworkInterface",
            "details": [{"name": "networkInterfaceId", "value": "eni-0abc"}],
        }
    ],
    "tags": [{"key": "team", "value": "ci"}],
}
DEFINITION = {
    "taskDefinition": {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/ci:7",
        "family": "ci",
        "revision": 7,
        "status": "ACTIVE",
        "containerDefinitions": [{"name": "job"}],
    },
    "tags": [],
}
ANSWERS: dict[str, tuple[Callable[[Ecs], object], dict[str, Any]]] = {
    "RunTask": (lambda ecs: ecs.run_task({"taskDefinition": "ci"}), {"tasks": [TASK]}),
    "DescribeTasks": (lambda ecs: ecs.describe_tasks([ARN]), {"tasks": [TASK], "failures": []}),
    "StopTask": (lambda ecs: ecs.stop_task(ARN, "over"), {"task": TASK}),
    "ListTasks": (lambda ecs: ecs.list_tasks(startedBy="manager"), {"taskArns": [ARN]}),
    "DescribeTaskDefinition": (lambda ecs: ecs.describe_task_definition("ci"), DEFINITION),
    "RegisterTaskDefinition": (
        lambda ecs: ecs.register_task_definition({"family": "ci", "containerDefinitions": []}),
        DEFINITION,
    ),
    "ListTaskDefinitionFamilies": (lambda ecs: ecs.list_families("ci"), {"families": ["ci"]}),
    "logs:GetLogEvents": (
        lambda ecs: ecs.log_events("group", "stream", region="us-east-1", limit=1),
        {"events": [{"timestamp": 1, "message": "x"}], "nextForwardToken": "f"},
    ),
}
"""Calls, and answers of AWS's (the members that the driver reads)."""
SECRET = "AQoDYXdzEJr-not-a-real-token"
PAGE = f"<html><title>Blocked</title>X-Amz-Security-Token: {SECRET}</html>".encode()
WHOLE = json.dumps({"tasks": [TASK]}).encode()


class Peer:
    """Answers whatever it is asked with one thing."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        self.url = ""

    def __call__(self, _: http_peer.Request) -> http_peer.Answer:
        status, headers, body = self.answer
        return http_peer.Answer(status, body, headers)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    running = Peer()
    with http_peer.serving(running) as running.url:
        yield running


@pytest.fixture(scope="module")
def ecs(peer: Peer) -> Ecs:
    """A client that tries nothing again."""
    return Ecs(Target("us-east-1", "ci", peer.url, None), deadline=time.monotonic())


@pytest.mark.parametrize("operation", ANSWERS)
def test_what_aws_answers_is_fine(operation: str, peer: Peer, ecs: Ecs) -> None:
    call, answer = ANSWERS[operation]
    peer.answer = (200, {}, json.dumps(answer).encode())
    call(ecs)


NO_CODE = "HTTP {} without an error code"
PORTAL = {"Location": f"http://portal.example.com/?token={SECRET}"}
HTML = {"Content-Type": "text/html"}
ODD_ANSWERS = {
    "empty": ((200, {}, b""), "it has no "),
    "no-content": ((204, {}, b""), "it has no "),
    "page": ((200, HTML, PAGE), "it has no "),
    "null": ((200, {}, b'{"tasks": null, "task": null}'), "it has no "),
    "list": ((200, {}, b"[]"), "it can't be read"),
    "bytes": ((200, {}, b"\x1f\x8b"), "it can't be read"),
    "half-a-gzip": (
        (200, {"Content-Encoding": "gzip"}, gzip.compress(WHOLE, mtime=0)[:40]),
        "it can't be read",
    ),
    "redirect": ((302, PORTAL, PAGE), f"{NO_CODE.format(302)}, a redirect to portal.example.com."),
    "refusing-page": ((403, HTML, PAGE), f"{NO_CODE.format(403)}, text/html."),
    "proxy": ((407, {}, PAGE), f"{NO_CODE.format(407)}."),
    "nothing-there": ((404, {}, b""), f"{NO_CODE.format(404)}."),
    "odd-code": ((400, {}, b'{"__type": 5}'), "it can't be read"),
    "refusing-list": ((400, {}, b"[]"), "it can't be read"),
    "no-code": ((400, {}, b'{"message": "no"}'), f"{NO_CODE.format(400)}."),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_what_is_none_of_awss_answers(name: str, peer: Peer, ecs: Ecs) -> None:
    peer.answer, says = ODD_ANSWERS[name]
    for operation, (call, _) in ANSWERS.items():
        with pytest.raises(EcsError) as e:
            call(ecs)
        text = str(e.value)
        assert text.startswith(f"{operation} failed: the answer is none of AWS's: {says}"), text
        assert "[answer-odd]" in text
        assert "\n" not in text
        assert SECRET not in text
        assert not e.value.refused, "it may have had its effect"


@pytest.mark.parametrize("body", [b"", PAGE, b"bad gateway"])
def test_a_gateway_that_fails_is_told_by_its_status(body: bytes, peer: Peer, ecs: Ecs) -> None:
    peer.answer = (502, {}, body)
    with pytest.raises(EcsError, match=r"failed: 502: HTTP 502 .*\[aws-failed\]$") as e:
        ecs.stop_task(ARN, "over")
    assert SECRET not in str(e.value)
    assert not e.value.refused


def test_an_answer_that_is_cut_off_may_have_had_its_effect(peer: Peer, ecs: Ecs) -> None:
    peer.answer = (200, {"Content-Length": str(len(WHOLE))}, WHOLE[:-20])
    with pytest.raises(EcsError) as e:
        ecs.run_task({"taskDefinition": "ci"})
    assert not e.value.refused
    assert "internal error" not in str(e.value)


def test_odd_answers_are_tried_again(peer: Peer) -> None:
    patient = Ecs(Target("us-east-1", "ci", peer.url, None), deadline=time.monotonic() + 60)
    peer.answer = (403, {}, PAGE)
    mended = threading.Timer(0.3, setattr, [peer, "answer", (200, {}, WHOLE)])
    mended.start()
    assert patient.run_task({"taskDefinition": "ci"})["taskArn"] == ARN
    mended.join()


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.lists(
        st.none() | st.integers() | st.text(max_size=3) | st.dictionaries(st.text(), st.none()),
        max_size=2,
    )
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in an answer."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def spoiled(answer: dict[str, Any], path: tuple[Any, ...], odd: object) -> Any:
    whole = [copy.deepcopy(answer)]
    holder: Any = whole
    *way, last = (0, *path)
    for key in way:
        holder = holder[key]
    if odd is ...:
        del holder[last]
    else:
        holder[last] = odd
    return whole[0] if whole else {}


@settings(max_examples=300)
@given(data=st.data())
def test_any_answer_is_taken_or_explained(data: st.DataObject, peer: Peer, ecs: Ecs) -> None:
    operation = data.draw(st.sampled_from(sorted(ANSWERS)))
    call, answer = ANSWERS[operation]
    path = data.draw(st.sampled_from(list(places(answer))))
    status = data.draw(st.sampled_from([200, 200, 200, 400, 403, 500]))
    body = spoiled(answer, path, data.draw(st.just(...) | ODD))
    peer.answer = (status, {}, json.dumps(body).encode())
    got: Any = None
    said = "a line"
    try:
        got = call(ecs)
    except EcsError as e:
        said = str(e)
    assert said
    assert "\n" not in said
    tasks: Any = []
    if got and operation in ("RunTask", "DescribeTasks"):
        tasks = [got] if operation == "RunTask" else got[0].values()
    for task in tasks:
        # What is taken can be used.
        watch.container(task, "job")
        watch.private_address(task, "job")
        watch.network_interface(task)
        assert "\n" not in diagnosis.of_stopped_task(task, "job").line
