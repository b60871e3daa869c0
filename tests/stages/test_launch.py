"""prepare, when the start of a task fails by no one's fault."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver_calls import JobCalls
from fargate_driver.ecs import launch, pace
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeJob = Callable[..., JobCalls]

JOB_IDS = itertools.count(9000)
NO_CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different"
    " availability zone"
)
ENI = "Timeout waiting for network interface provisioning to complete."
SPOT_THEN_ON_DEMAND = """
[[Capacity]]
Provider = "FARGATE_SPOT"

[[Capacity]]
Name = "on demand"
LaunchType = "FARGATE"
Subnet = "subnet-0def"
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate"), runtime="process") as running:
        yield running


@pytest.fixture
def fargate(shared: LocalFargate) -> Iterator[LocalFargate]:
    shared.faults()
    yield shared
    until(lambda: not shared.alive())
    assert list(metadata(shared).rglob("*")) == []


@pytest.fixture
def job(fargate: LocalFargate, tmp_path: Path) -> Iterator[MakeJob]:
    """Makes jobs with more in their configuration; each is cleaned up."""
    made: list[JobCalls] = []

    def make(more: str = "", timeout: float = 120) -> JobCalls:
        number = next(JOB_IDS)
        config = tmp_path / f"{number}.toml"
        text = fargate.config.read_text()
        text = text.replace("[Fargate]", f"[Fargate]\nStartTimeout = {timeout}")
        config.write_text(text + more)
        made.append(JobCalls(tmp_path / f"job{number}", config, number))
        return made[-1]

    yield make
    fargate.faults()
    for calls in made:
        assert calls.call("cleanup").returncode == 0


def metadata(fargate: LocalFargate) -> Path:
    return Path(fargate.settings["TaskMetadata"]["Directory"])


def launches(fargate: LocalFargate) -> list[dict[str, Any]]:
    """What the one record says about its launches."""
    (record,) = metadata(fargate).glob("*/record.json")
    found: list[dict[str, Any]] = json.loads(record.read_text())["launches"]
    return found


def fails(reason: str, **more: Any) -> dict[str, Any]:
    return {"task": {"stop_at": "PROVISIONING", "stopped_reason": reason}, **more}


def lacks(**more: Any) -> dict[str, Any]:
    return {"operation": "RunTask", "failure": {"reason": NO_CAPACITY}, **more}


def test_a_start_that_fails_by_chance_is_made_again(fargate: LocalFargate, job: MakeJob) -> None:
    # Bug 11: https://github.com/apache/airflow/issues/15000
    fargate.faults(fails(ENI))
    before = len(fargate.tasks())
    this = job()
    prepared = this.call("prepare")
    assert prepared.returncode == 0, prepared.stderr
    (line,) = [row for row in prepared.stderr.splitlines() if ENI in row]
    assert line.startswith("fargate: the start failed: the task stopped: TaskFailedToStart: ")
    assert "; trying the cluster's default capacity" in line
    first, second = launches(fargate)
    assert first["request"]["clientToken"] != second["request"]["clientToken"]
    # Never two tasks of one job: the first had ended when the second was asked for.
    failed, running = fargate.tasks()[before:]
    assert failed["taskArn"] == first["task_arn"]
    assert running["taskArn"] == second["task_arn"]
    assert failed["stoppingAt"] <= running["createdAt"]
    ran = this.call("run", this.script("echo there"), "build_script")
    assert (ran.returncode, ran.stdout) == (0, "there\n")


def test_without_capacity_the_next_in_the_list_is_tried(
    fargate: LocalFargate, job: MakeJob
) -> None:
    # Bugs 4 and 9: https://github.com/dagster-io/dagster/pull/24691 and
    # https://github.com/aws/containers-roadmap/issues/852
    fargate.faults(lacks(capacity_provider="FARGATE_SPOT", times=100))
    before = len(fargate.tasks())
    prepared = job(SPOT_THEN_ON_DEMAND).call("prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert f"no capacity on FARGATE_SPOT: ECS started no task: {NO_CAPACITY}" in prepared.stderr
    assert "; trying on demand\n" in prepared.stderr
    spot, on_demand = launches(fargate)
    assert spot["refused"]
    # Bug 10: https://github.com/dask/dask-cloudprovider/pull/348
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert spot["request"]["capacityProviderStrategy"] == strategy
    assert "launchType" not in spot["request"]
    assert on_demand["request"]["launchType"] == "FARGATE"
    assert "capacityProviderStrategy" not in on_demand["request"]
    network = on_demand["request"]["networkConfiguration"]["awsvpcConfiguration"]
    assert network["subnets"] == ["subnet-0def"]
    assert len(fargate.tasks()) == before + 1


def test_capacity_that_is_there_is_used(fargate: LocalFargate, job: MakeJob) -> None:
    prepared = job(SPOT_THEN_ON_DEMAND).call("prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert [task["capacityProviderName"] for task in fargate.alive()] == ["FARGATE_SPOT"]


def test_a_task_taken_away_before_it_is_used_is_replaced(
    fargate: LocalFargate, job: MakeJob
) -> None:
    fargate.faults({"task": {"interrupt_after": 0.5, "grace": 0.1, "sshd_delay": 60}})
    this = job(SPOT_THEN_ON_DEMAND)
    prepared = this.call("prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert "SpotInterruption" in prepared.stderr
    ran = this.call("run", this.script("echo there"), "build_script")
    assert (ran.returncode, ran.stdout) == (0, "there\n")
    assert len(fargate.alive()) == 1


@pytest.mark.parametrize("rule", [lacks(times=1000), fails(ENI, times=1000)])
def test_trying_again_ends_at_start_timeout(
    fargate: LocalFargate, job: MakeJob, rule: dict[str, Any]
) -> None:
    # Bug 12: https://github.com/PrefectHQ/prefect/issues/22410
    fargate.faults(rule)
    before = len(fargate.calls("RunTask"))
    prepared = job(timeout=4).call("prepare")
    assert prepared.returncode == 2
    assert (NO_CAPACITY if "operation" in rule else ENI) in prepared.stderr.splitlines()[-1]
    assert "Traceback" not in prepared.stderr
    assert 1 <= len(fargate.calls("RunTask")) - before <= 3
    until(lambda: not fargate.alive())


def test_an_unknown_outcome_is_no_reason_for_another_task(
    fargate: LocalFargate, job: MakeJob
) -> None:
    # Bugs 5 and 27: https://github.com/apache/airflow/pull/16150 and
    # https://github.com/jenkinsci/amazon-ecs-plugin/issues/311
    fargate.faults({"operation": "RunTask", "lose_answer": True}, lacks())
    before = len(fargate.tasks())
    prepared = job(SPOT_THEN_ON_DEMAND).call("prepare")
    assert prepared.returncode == 2
    assert len(fargate.tasks()) == before + 1
    until(lambda: not fargate.alive())


def test_a_first_task_that_cannot_be_stopped_has_no_successor(
    fargate: LocalFargate, job: MakeJob
) -> None:
    fargate.faults(
        fails(ENI),
        {"operation": "StopTask", "error": "AccessDeniedException", "message": "no", "times": 1},
    )
    before = len(fargate.tasks())
    prepared = job().call("prepare")
    assert prepared.returncode == 2
    assert "StopTask failed: AccessDeniedException" in prepared.stderr
    assert len(fargate.tasks()) == before + 1


def test_killed_between_two_launches(fargate: LocalFargate, job: MakeJob) -> None:
    # Bug 14: https://github.com/PrefectHQ/prefect/issues/20485
    fargate.faults(lacks(times=1000))
    this = job()
    with this.start("prepare") as process:
        assert process.stderr
        stderr = process.stderr
        until(lambda: "trying" in stderr.readline())
        os.killpg(process.pid, signal.SIGKILL)
    assert launches(fargate)[0]["refused"]
    fargate.faults()
    assert this.call("cleanup").returncode == 0
    assert fargate.alive() == []


def test_a_driver_killed_while_it_asks_for_all_holds_up_nobody(
    fargate: LocalFargate, job: MakeJob
) -> None:
    fargate.faults(
        {"operation": "DescribeTasks", "hang": 600, "times": 1}, {"task": {"start_delay": 2}}
    )
    first, second = job(), job()
    calls = len(fargate.calls("DescribeTasks"))
    with first.start("prepare") as asking:
        until(lambda: len(fargate.calls("DescribeTasks")) > calls)
        with second.start("prepare") as waiting:
            until(lambda: len(list(metadata(fargate).glob("*/waiting-*"))) == 2)
            os.killpg(asking.pid, signal.SIGKILL)
            _, stderr = waiting.communicate(timeout=60)
            assert waiting.returncode == 0, stderr


def exhaust_the_rate(fargate: LocalFargate) -> None:
    """Have other jobs of this host take the turns of the next 20 s."""
    root = metadata(fargate)
    root.mkdir(exist_ok=True)
    settings = fargate.settings["Fargate"]
    turns = pace.place(root, "RunTask", settings["Region"], settings["EndpointURL"], None)
    with pace.hold(turns, launch.RATE) as bucket:
        assert bucket
        bucket.take(20 * launch.RATE.per_second)


def test_cancelled_while_it_waits_for_its_turn(fargate: LocalFargate, job: MakeJob) -> None:
    exhaust_the_rate(fargate)
    before = len(fargate.calls("RunTask"))
    with job().start("prepare") as process:
        assert process.stderr
        assert "starting the job's task" in process.stderr.readline()
        assert process.stderr.readline().startswith("fargate: waiting: this host starts 15 tasks")
        os.killpg(process.pid, signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cancelled while the task started" in stderr
    assert len(fargate.calls("RunTask")) == before


def test_a_turn_that_does_not_come_in_time(fargate: LocalFargate, job: MakeJob) -> None:
    exhaust_the_rate(fargate)
    before = len(fargate.calls("RunTask"))
    prepared = job(timeout=1).call("prepare")
    assert prepared.returncode == 2
    assert "the turn of this one did not come within StartTimeout" in prepared.stderr
    assert len(fargate.calls("RunTask")) == before


def test_files_are_private_and_gone_with_the_wait(fargate: LocalFargate, job: MakeJob) -> None:
    fargate.faults({"task": {"start_delay": 10}})
    root = metadata(fargate)
    with job().start("prepare") as process:
        until(lambda: list(root.glob("*/waiting-*")) and list(root.glob(".pace-*")))
        for path in [*root.glob("*/*"), *root.glob(".pace-*")]:
            assert path.stat().st_mode & 0o077 == 0, path
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
    assert list(root.glob("*/waiting-*")) == []
    assert list(root.glob(".pace-*")) == []
