"""DescribeTasks shared by all who wait, over real HTTP and real sockets."""

from __future__ import annotations

import contextlib
import socket
import stat
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs import pace, shared
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.shared import SharedLooks
from fargate_driver.ecs.target import Target
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Place = Callable[..., SharedLooks]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate"), runtime="process") as running:
        yield running


@pytest.fixture
def fargate(endpoint: LocalFargate) -> Iterator[LocalFargate]:
    endpoint.faults()
    yield endpoint
    for task in endpoint.alive():
        client(endpoint).stop_task(task["taskArn"], "the test is over")
    until(lambda: not endpoint.alive())


@pytest.fixture
def place(fargate: LocalFargate, tmp_path: Path) -> Iterator[Place]:
    """Takes a place for a task, in a job's directory of its own; in the end nothing is left."""
    ecs = client(fargate)
    root = tmp_path / "jobs"
    places: list[SharedLooks] = []

    def take(task_arn: str | None = None) -> SharedLooks:
        directory = root / f"job{len(places)}"
        directory.mkdir(parents=True)
        places.append(SharedLooks(ecs, str(directory), task_arn or unknown_task()))
        return places[-1]

    yield take
    for one in places:
        one.close()
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


def client(fargate: LocalFargate) -> Ecs:
    target = Target("us-east-1", "default", fargate.url, None)
    return Ecs(target, deadline=time.monotonic() + 60)


def unknown_task() -> str:
    return f"arn:aws:ecs:us-east-1:123456789012:task/default/{uuid.uuid4().hex}"


def run_task(fargate: LocalFargate) -> str:
    vpc = {"subnets": ["subnet-0abc"], "securityGroups": ["sg-0abc"], "assignPublicIp": "DISABLED"}
    request = {
        "cluster": "default",
        "taskDefinition": "ci-coordinator",
        "networkConfiguration": {"awsvpcConfiguration": vpc},
        "clientToken": uuid.uuid4().hex,
    }
    return str(client(fargate).run_task(request)["taskArn"])


def bind(listening: socket.socket, path: Path) -> None:
    with shared._short(path) as name:
        listening.bind(str(name))


def look(one: SharedLooks, since: float | None = None) -> shared.Seen:
    now = time.monotonic() if since is None else since
    seen = one.newer(now, now, now + 30)
    assert seen
    assert seen.asked >= now
    return seen


def describes(fargate: LocalFargate) -> int:
    return len(fargate.calls("DescribeTasks"))


def test_all_who_wait_share_a_call(fargate: LocalFargate, place: Place) -> None:
    # Bug 6: https://github.com/jenkinsci/amazon-ecs-plugin/pull/133
    arns = [run_task(fargate) for _ in range(5)]
    places = [place(arn) for arn in arns]
    before, begun = describes(fargate), time.monotonic()
    seen: dict[int, shared.Seen] = {}

    def see(number: int) -> None:
        seen[number] = look(places[number], begun)

    threads = [threading.Thread(target=see, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [(seen[n].task or {}).get("taskArn") for n in range(5)] == arns
    assert describes(fargate) - before == 1


def test_who_asks_tells_the_others(fargate: LocalFargate, place: Place) -> None:
    arn = run_task(fargate)
    asking, told, unknown = place(), place(arn), place()
    before = describes(fargate)
    begun = time.monotonic()
    look(asking)
    for one, task in ((told, arn), (unknown, None)):
        seen = one.newer(begun, begun + 600, begun + 30)
        assert seen
        assert (seen.task or {}).get("taskArn") == task
        assert seen.failure is None
    assert describes(fargate) == before + 1


def test_one_call_describes_a_hundred(fargate: LocalFargate, place: Place) -> None:
    places = [place() for _ in range(120)]
    before = describes(fargate)
    begun = time.monotonic()
    look(places[0])
    assert describes(fargate) == before + 2
    for one in places[1:]:
        seen = one.newer(begun, begun + 600, begun + 30)
        assert seen
        assert seen.task is None


def test_calls_keep_a_rate(fargate: LocalFargate, place: Place) -> None:
    one = place()
    before, begun = describes(fargate), time.monotonic()
    while time.monotonic() - begun < 3:
        look(one)
    seconds = time.monotonic() - begun
    made = describes(fargate) - before
    assert shared.RATE.burst <= made <= shared.RATE.burst + seconds * shared.RATE.per_second + 1


def test_other_clusters_and_accounts_are_not_asked_for(place: Place) -> None:
    one = place()
    for arn in (
        f"arn:aws:ecs:us-east-1:123456789012:task/other/{uuid.uuid4().hex}",
        f"arn:aws:ecs:us-east-1:210987654321:task/default/{uuid.uuid4().hex}",
    ):
        assert list(place(arn)._company()) == []
    assert list(one._company()) == []


def test_the_dead_and_the_foreign_do_not_count(place: Place, tmp_path: Path) -> None:
    one = place()
    foreign = tmp_path / "jobs" / "foreign"
    foreign.mkdir()
    dead = foreign / f"{one._prefix}{'0' * 32}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        bind(listening, dead)
    (foreign / f"{one._prefix}{'1' * 32}").write_text("no socket")
    (foreign / f"{one._prefix}{'2' * 32}").mkdir()
    (foreign / f"{one._prefix}{'3' * 32}").symlink_to("nowhere")
    alive = foreign / f"{one._prefix}--name=value"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        bind(listening, alive)
        assert list(one._company()) == []
        look(one)
    for path in foreign.iterdir():
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_what_nobody_of_ours_sends_is_ignored(fargate: LocalFargate, place: Place) -> None:
    arn = run_task(fargate)
    one = place(arn)
    assert stat.S_IMODE(one._path.stat().st_mode) == 0o600
    with shared._connected(one._path) as sending:
        for message in (b"", b"junk", b"[1]", b"[1e9, {}, null]", b'["now", {}, null]', b"[" * 99):
            sending.send(message)
    seen = look(one)
    assert seen.task
    assert seen.task["taskArn"] == arn


@given(st.binary(max_size=100) | st.text(max_size=30).map(str.encode))
def test_any_message(message: bytes) -> None:
    assert shared._understood(message) is None


def test_throttling_is_a_pause_for_all(fargate: LocalFargate, place: Place) -> None:
    fargate.faults({"operation": "DescribeTasks", "error": "ThrottlingException", "times": 1})
    one, other = place(), place()
    before = describes(fargate)
    now = time.monotonic()
    assert one.newer(now, now, now + 0.5) is None
    assert one.trouble
    assert "ThrottlingException" in one.trouble
    now = time.monotonic()
    assert other.newer(now, now, now + 0.5) is None
    assert describes(fargate) == before + 1
    look(other)
    assert one.newer(now, now + 600, now + 30)
    assert one.trouble is None


def test_a_refusal_is_told_at_once(fargate: LocalFargate, place: Place) -> None:
    fargate.faults({"operation": "DescribeTasks", "error": "AccessDeniedException", "times": 1})
    one = place()
    with pytest.raises(EcsError, match="AccessDeniedException"):
        look(one)
    look(one)


def test_a_lock_that_is_stuck_is_waited_for_no_longer_than_a_call_takes(
    fargate: LocalFargate, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_PATIENCE", 0.5)
    arn = run_task(fargate)
    one = place(arn)
    with pace.hold(one._lock, shared.RATE) as bucket:
        assert bucket
        seen = look(one)
    assert seen.task


def test_who_cannot_share_asks_for_itself(fargate: LocalFargate, tmp_path: Path) -> None:
    arn = run_task(fargate)
    one = SharedLooks(client(fargate), str(tmp_path / "missing" / "job"), arn)
    with contextlib.closing(one):
        seen = look(one)
    assert seen.task


def test_a_deep_directory_is_no_hindrance(fargate: LocalFargate, tmp_path: Path) -> None:
    # Names of sockets end at 107 bytes (unix(7)).
    directory = tmp_path / ("d" * 200) / "job"
    directory.mkdir(parents=True)
    arn = run_task(fargate)
    one = SharedLooks(client(fargate), str(directory), arn)
    other = SharedLooks(client(fargate), str(directory), unknown_task())
    with contextlib.closing(one), contextlib.closing(other):
        begun = time.monotonic()
        look(other)
        seen = one.newer(begun, begun + 600, begun + 10)
        # One directory has one waiting driver; here the two are each other's company all the same.
        assert seen
        assert seen.task


def test_the_last_to_leave_takes_the_lock_along(place: Place) -> None:
    one, other = place(), place()
    look(one)
    one.close()
    assert other._lock.exists()
    other.close()
    assert not other._lock.exists()


def test_moments_are_numbers_and_overrides_stay_out(fargate: LocalFargate, place: Place) -> None:
    task: dict[str, Any] = look(place(run_task(fargate))).task or {}
    assert isinstance(task["createdAt"], float)
    assert "overrides" not in task
