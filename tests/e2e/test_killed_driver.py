"""kill -9 of the driver at every step of every stage: nothing is left, and no job runs twice."""

from __future__ import annotations

import itertools
import queue
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from crash_trials import CAPACITY, KILLED, Drivers, Trial
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 4
SLOW = ("http.client.send", "socket.sendmsg", "subprocess.Popen")
"""Steps that take their time: the driver is killed during them too."""
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    directory = tmp_path_factory.mktemp("f") / "l"
    options = ("--time-scale", "0.1")
    with local_fargate(directory, runtime="process", options=options) as running:
        yield running


@pytest.fixture
def fargate(shared: LocalFargate) -> Iterator[LocalFargate]:
    yield shared
    shared.faults()
    shared.assert_nothing_left()


@contextmanager
def all_drivers(count: int) -> Iterator[queue.Queue[Drivers]]:
    started = [Drivers() for _ in range(count)]
    idle: queue.Queue[Drivers] = queue.Queue()
    for drivers in started:
        idle.put(drivers)
    try:
        yield idle
    finally:
        for drivers in started:
            drivers.close()


class Story(NamedTuple):
    """A call of the driver whose steps are killed."""

    stage: str
    status: int = 0
    """What it ends with where it isn't killed."""
    rule: dict[str, Any] | None = None
    """What goes wrong then."""
    disconnected: bool = False


STORIES = {
    "prepare": Story("prepare"),
    "prepare that fails": Story(
        "prepare",
        status=2,
        rule={
            "task": {"stop_at": "PENDING", "stopped_reason": "CannotPullContainerError: not found"}
        },
    ),
    "prepare that starts again": Story(
        "prepare",
        rule={
            "task": {"stop_at": "PENDING", "stop_code": "SpotInterruption"},
            "capacity_provider": CAPACITY[0],
        },
    ),
    "run": Story("run"),
    "run without a connection": Story("run", disconnected=True),
    "cleanup": Story("cleanup"),
}


def attempt(
    fargate: LocalFargate, drivers: Drivers, story: Story, kill: str, *, runner_dies: bool
) -> tuple[bool, list[str]]:
    """A job whose driver is killed, and what is done about it.

    Returns:
        Whether it was killed, for it may have ended before; and its steps.
    """
    number = next(NUMBERS)
    trial = Trial(fargate, drivers, str(number), number)
    if story.stage != "prepare":
        assert trial.call("prepare") == 0, trial.log
    if story.disconnected:
        trial.break_connection()
    status = trial.call(story.stage, kill)
    assert status in (story.status, *KILLED), (kill, status, trial.log)
    steps = trial.steps
    ended = trial.reap() if runner_dies else trial.call("cleanup")
    assert ended == 0, (kill, trial.log)
    until(lambda: not trial.left(), lambda: f"{kill}: {trial.left()}\n{trial.log}")
    return status in KILLED, steps


def points(steps: list[str]) -> list[str]:
    """When to kill: before each step, and during those that take their time."""
    sent = bodies(steps)
    before = [step for step in steps if step not in sent]
    # Of several in a row, which are parts of one, the last.
    during = [
        f"{step}+0.03"
        for step, following in itertools.pairwise([*steps, ""])
        if step.startswith(SLOW) and step.partition(" #")[0] != following.partition(" #")[0]
    ]
    return before + during


def bodies(steps: list[str]) -> list[str]:
    """The steps that end a request: its head and its body are sent one after the other."""
    return [step for step in steps if step.startswith("http.client.send")][1::2]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_killed_at_every_step(fargate: LocalFargate, story: Story) -> None:
    with all_drivers(WORKERS) as idle, ThreadPoolExecutor(WORKERS) as pool:

        def tell(story: Story, kill: str, *, runner_dies: bool) -> tuple[bool, list[str]]:
            drivers = idle.get()
            try:
                return attempt(fargate, drivers, story, kill, runner_dies=runner_dies)
            finally:
                idle.put(drivers)

        known: list[str] = []
        if story.rule:
            # What goes as ever is another story's.
            known = tell(Story(story.stage), "", runner_dies=False)[1]
            fargate.faults({"times": 1000} | story.rule)
        killed, steps = tell(story, "", runner_dies=False)
        assert not killed
        trials = [
            pool.submit(tell, story, point, runner_dies=number % 2 == 1)
            for number, point in enumerate(points([s for s in steps if s not in known]))
        ]
        struck = [trial.result()[0] for trial in trials]
    # How often the driver has to look at something varies: a few may never come to their step.
    assert sum(struck) > 0.8 * len(struck), steps


@pytest.mark.parametrize(
    ("stage", "operation", "nth"),
    [("prepare", "RunTask", 0), ("prepare", "DescribeTasks", 1), ("cleanup", "StopTask", 0)],
    ids=str,
)
def test_killed_during_a_call(fargate: LocalFargate, stage: str, operation: str, nth: int) -> None:
    """ECS got the request, and acts on it before or after the driver is dead."""
    with all_drivers(1) as idle:
        drivers = idle.get()
        _, steps = attempt(fargate, drivers, Story(stage), "", runner_dies=False)
        for acts_first, runner_dies in itertools.product((False, True), (False, True)):
            rule = {"operation": operation, "hang": 6.0}
            fargate.faults(rule | ({"lose_answer": True} if acts_first else {}))
            kill = f"{bodies(steps)[nth]}+0.3"
            killed, _ = attempt(fargate, drivers, Story(stage), kill, runner_dies=runner_dies)
            assert killed
