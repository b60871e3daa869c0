"""CloudWatch Logs of containers that are configured for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.local.log_streams import Stream
from local_api.fargate_under_test import IMAGE, PATIENCE, Fargate, definition, fails
from local_api.sleeping_runtime import COMMAND

if TYPE_CHECKING:
    import pytest

GROUP = "/ci/jobs"


def start(here: Fargate, command: str, **options: str) -> dict[str, Any]:
    log = {"awslogs-group": GROUP, "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "ci"}
    role = "arn:aws:iam::123456789012:role/execution"
    job = {
        "name": "job",
        "image": IMAGE,
        "environment": [{"name": COMMAND, "value": command}],
        "logConfiguration": {"logDriver": "awslogs", "options": log | options},
    }
    quiet = {"name": "quiet", "image": IMAGE, "essential": False}
    definition(here, "logging", containerDefinitions=[job, quiet], executionRoleArn=role)
    return here.run(taskDefinition="logging")


def stream_of(task: dict[str, Any]) -> str:
    return f"ci/job/{task['taskArn'].rpartition('/')[2]}"


def read(here: Fargate, name: str, **request: Any) -> dict[str, Any]:
    logs = here.client("logs")
    answer: dict[str, Any] = logs.get_log_events(logGroupName=GROUP, logStreamName=name, **request)
    return answer


def lines(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_lines_show_up_and_stay(here: Fargate) -> None:
    task = start(
        here, "echo one; echo; echo two >&2; trap 'printf end; exit' TERM; sleep 600 & wait"
    )
    here.until(task, "RUNNING")
    name = stream_of(task)
    deadline = time.monotonic() + PATIENCE
    while lines(read(here, name)) != ["one", "two"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    here.stop(task)
    answer = read(here, name)
    assert lines(answer) == ["one", "two", "end"]
    times = [event["timestamp"] / 1000 for event in answer["events"]]
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < PATIENCE
    assert lines(read(here, name, startTime=int(times[2] * 1000) + 1)) == []
    logs = here.client("logs")
    shown = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=name)["logStreams"]
    assert [one["logStreamName"] for one in shown] == [name]
    assert shown[0]["lastEventTimestamp"] == answer["events"][-1]["timestamp"]
    assert shown[0]["arn"].endswith(f":log-group:{GROUP}:log-stream:{name}")


def test_pages(here: Fargate) -> None:
    task = here.until(start(here, "seq 1 7"), "STOPPED")
    name = stream_of(task)
    first = read(here, name, startFromHead=True, limit=3)
    second = read(here, name, limit=3, nextToken=first["nextForwardToken"])
    third = read(here, name, limit=3, nextToken=second["nextForwardToken"])
    assert [lines(one) for one in (first, second, third)] == [list("123"), list("456"), ["7"]]
    end = read(here, name, nextToken=third["nextForwardToken"])
    assert (lines(end), end["nextForwardToken"]) == ([], third["nextForwardToken"])
    last = read(here, name, limit=2)
    assert lines(last) == list("67")
    before = read(here, name, limit=4, nextToken=last["nextBackwardToken"])
    assert lines(before) == list("2345")
    assert lines(read(here, name, limit=4, nextToken=before["nextBackwardToken"])) == ["1"]


def test_streams_by_pages_and_time(here: Fargate) -> None:
    tasks = [
        here.until(start(here, "echo x", **{"awslogs-group": "own"}), "STOPPED") for _ in range(3)
    ]
    logs = here.client("logs")
    names = [stream_of(task) for task in tasks]
    request = {"logGroupName": "own", "orderBy": "LastEventTime", "descending": True, "limit": 2}
    page = logs.describe_log_streams(**request)
    rest = logs.describe_log_streams(**request, nextToken=page["nextToken"])
    found = [one["logStreamName"] for one in page["logStreams"] + rest["logStreams"]]
    assert found == names[::-1]
    assert "nextToken" not in rest


def test_what_is_not_there(here: Fargate) -> None:
    logs = here.client("logs")
    here.until(start(here, "true"), "STOPPED")
    request = {"logGroupName": "no", "logStreamName": "no"}
    fails("ResourceNotFoundException", "log group does not", logs.get_log_events, **request)
    request["logGroupName"] = GROUP
    fails("ResourceNotFoundException", "log stream does not", logs.get_log_events, **request)
    fails("InvalidParameterException", "either", logs.describe_log_streams)
    denied = {"operation": "GetLogEvents", "error": "AccessDeniedException"}
    here.faults(denied)
    fails("AccessDeniedException", "", logs.get_log_events, **request)
    fails("UnknownOperationException", "not offer", logs.create_log_group, logGroupName="x")


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_any_bytes_in_any_pieces(pieces: list[bytes]) -> None:
    stream = Stream("s")
    for piece in pieces:
        stream._take(piece)
    stream._take(b"\n")
    wanted = [line.decode(errors="replace") for line in b"".join(pieces).split(b"\n") if line]
    assert [one.message for one in stream.events] == [one.removesuffix("\r") for one in wanted]
    assert [one.number for one in stream.events] == list(range(len(stream.events)))


def test_many_and_long_lines(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("log") / "c.log"
    stream = Stream("s")
    stream.follow(file)
    file.write_bytes(b"x\n" * 10_001 + b"y" * (300 << 10))
    stream.follow(file, to_the_end=True)
    assert len(stream.events) == 10_000
    assert [len(one.message) for one in list(stream.events)[-2:]] == [256 << 10, 44 << 10]
    assert stream.events[-1].number == 10_002
