"""Tasks of several containers: the order they start and end in, their health, their overrides."""

from __future__ import annotations

import platform
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from local_api.fargate_under_test import IMAGE, Fargate, definition, fargate
from local_api.sleeping_runtime import BROKEN_ENTRY_POINT, COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/execution"
FAST = 0.02


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fargate]:
    """A Fargate whose seconds are short."""
    with fargate(tmp_path_factory.mktemp("fast"), time_scale=FAST) as here:
        yield here


def container(
    name: str, command: str = "exec sleep 600", *, after: str = "", **changes: Any
) -> dict[str, Any]:
    """Return a container that runs a command, after others: `name CONDITION, name CONDITION`."""
    conditions = [
        dict(zip(("containerName", "condition"), one.split(), strict=True))
        for one in after.split(", ")
        if one
    ]
    return {
        "name": name,
        "image": IMAGE,
        "environment": [{"name": COMMAND, "value": command}],
        "dependsOn": conditions,
    } | changes


def init(name: str, command: str, **changes: Any) -> dict[str, Any]:
    return container(name, command, essential=False, **changes)


def run(here: Fargate, *containers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    family = f"family-{len(here.tasks())}"
    request = {"taskRoleArn": ROLE, "executionRoleArn": ROLE, **changes}
    overrides = request.pop("overrides", {})
    definition(here, family, containerDefinitions=list(containers), **request)
    return here.run(taskDefinition=family, overrides=overrides)


def shown(task: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in task["containers"] if one["name"] == name)
    return dict(found)


def note(place: Path, word: str) -> str:
    return f"echo {word} >>{place}/notes"


def notes(place: Path) -> list[str]:
    return (place / "notes").read_text().split()


def test_each_container_is_shown_and_told_what_it_needs(here: Fargate) -> None:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    overrides = {
        "cpu": "1024",
        "memory": "2048",
        "ephemeralStorage": {"sizeInGiB": 30},
        "taskRoleArn": f"{ROLE}-2",
        "executionRoleArn": f"{ROLE}-3",
        "containerOverrides": [
            {"name": "job", "environment": [{"name": "B", "value": "2"}], "memory": 1500},
            {"name": "db", "command": ["serve", "it"], "cpu": 512, "memoryReservation": 100},
        ],
    }
    mounts = [
        {"sourceVolume": "tools", "containerPath": "/opt/fargate", "readOnly": True},
        {"sourceVolume": "builds", "containerPath": "/builds"},
    ]
    task = run(
        here,
        container(
            "job",
            entryPoint=["/opt/fargate/init", "--port", "2222"],
            user="0",
            workingDirectory="/srv",
            mountPoints=mounts,
            readonlyRootFilesystem=True,
        )
        | {"environment": variables, "command": []},
        container("db", essential=False, linuxParameters={"initProcessEnabled": True}),
        volumes=[{"name": "tools"}, {"name": "builds", "host": {}}],
        overrides=overrides,
    )
    running = here.until(task, "RUNNING")
    job, db = running["containers"]
    assert (job["name"], db["name"]) == ("job", "db")
    assert job["memory"] == "1500"
    assert (db["cpu"], db["memoryReservation"]) == ("512", "100")
    assert job["lastStatus"] == db["lastStatus"] == "RUNNING"
    assert job["imageDigest"].startswith("sha256:")
    assert job["runtimeId"] != db["runtimeId"]
    assert job["networkInterfaces"] == db["networkInterfaces"]
    assert (running["cpu"], running["memory"]) == ("1024", "2048")
    assert running["ephemeralStorage"] == {"sizeInGiB": 30}
    assert running["overrides"]["executionRoleArn"] == f"{ROLE}-3"
    spec = here.runtime.started[-1].spec
    assert (spec.cpu, spec.memory, spec.volumes) == (1024, 2048, ("tools", "builds"))
    first, second = spec.containers
    assert first.entry_point == ("/opt/fargate/init", "--port", "2222")
    assert (first.command, first.user, first.working_directory) == (None, "0", "/srv")
    assert [(one.volume, one.path, one.read_only) for one in first.mounts] == [
        ("tools", "/opt/fargate", True),
        ("builds", "/builds", False),
    ]
    assert (first.memory, first.read_only) == (1500, True)
    assert (first.environment["A"], first.environment["B"]) == ("1", "2")
    assert first.environment["ECS_CONTAINER_METADATA_URI_V4"].endswith(job["runtimeId"])
    assert second.entry_point is None
    assert (second.command, second.memory) == (("serve", "it"), None)
    assert "A" not in second.environment


def test_dependencies_start_first_and_stop_last(fast: Fargate, tmp_path: Path) -> None:
    def ending(name: str) -> str:
        return (
            f"{note(tmp_path, name)}; trap 'sleep 0.1; {note(tmp_path, f'-{name}')}; exit' TERM; "
            "while :; do sleep 0.02; done"
        )

    task = run(
        fast,
        container("job", ending("job"), after="init SUCCESS, db START, migrate COMPLETE"),
        container("db", ending("db"), after="init SUCCESS", essential=False),
        init("init", f"sleep 0.1; {note(tmp_path, 'init')}"),
        init("migrate", f"sleep 0.2; {note(tmp_path, 'migrate')}; exit 4", after="db START"),
    )
    running = fast.until(task, "RUNNING")
    assert shown(running, "init")["lastStatus"] == "STOPPED"
    assert shown(running, "init")["exitCode"] == 0
    assert shown(running, "migrate")["exitCode"] == 4
    while "job" not in notes(tmp_path):
        time.sleep(0.01)
    stopped = fast.stop(task)
    assert stopped["stopCode"] == "UserInitiated"
    assert notes(tmp_path) == ["init", "db", "migrate", "job", "-job", "-db"]
    assert [one["lastStatus"] for one in stopped["containers"]] == ["STOPPED"] * 4


def test_stop_timeouts_are_each_containers_own(here: Fargate) -> None:
    task = here.until(run(here, container("a", stopTimeout=3), container("b")), "RUNNING")
    here.stop(task)
    containers = here.runtime.started[-1].containers
    assert {name: one.events for name, one in containers.items()} == {
        "a": ["stop 3"],
        "b": ["stop 30"],
    }


def test_a_failed_dependency_stops_the_task(fast: Fargate) -> None:
    stopped = fast.until(
        run(
            fast,
            init("init", "exit 3"),
            container("job", after="init SUCCESS"),
            container("helper", after="job START"),
            container("db", essential=False),
        ),
        "STOPPED",
    )
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"] == "Task failed to start"
    assert "startedAt" not in stopped
    assert shown(stopped, "init")["exitCode"] == 3
    job = shown(stopped, "job")
    assert job["exitCode"] == 143
    assert job["reason"] == (
        "CannotStartContainerError: dependency graph: failed to resolve container ordering "
        f"dependency [init({IMAGE}) (STOPPED->RUNNING) - Exit: 3] for target "
        f"[job({IMAGE}) (NONE->RUNNING)] as dependency did not exit successfully."
    )
    assert shown(stopped, "helper")["reason"].endswith("because dependency will never start")
    assert shown(stopped, "db")["exitCode"] == 143


def test_only_essential_containers_take_the_task_with_them(fast: Fargate) -> None:
    task = run(
        fast,
        init("db", "exit 5"),
        init("broken", "", entryPoint=[BROKEN_ENTRY_POINT]),
        init("lost", "", after="broken START"),
        container("job"),
    )
    running = fast.until(task, "RUNNING")
    assert shown(running, "db")["exitCode"] == 5
    assert shown(running, "broken")["reason"] == "CannotStartContainerError: /broken: no such file"
    assert "exitCode" not in shown(running, "broken")
    assert "never start" in shown(running, "lost")["reason"]
    fast.stop(task)
    stopped = fast.until(
        run(fast, container("job", "sleep 0.2; exit 6"), container("helper")), "STOPPED"
    )
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert shown(stopped, "job")["exitCode"] == 6
    assert shown(stopped, "helper")["exitCode"] == 143
    stopped = fast.until(
        run(fast, container("job", entryPoint=[BROKEN_ENTRY_POINT]), container("helper")), "STOPPED"
    )
    assert (stopped["stopCode"], stopped["stoppedReason"]) == (
        "TaskFailedToStart",
        "Task failed to start",
    )


def test_a_task_that_waits_for_a_container_can_be_stopped(fast: Fargate) -> None:
    task = run(fast, init("init", "exec sleep 600"), container("job", after="init SUCCESS"))
    waiting = fast.wait(task, lambda now: shown(now, "init")["lastStatus"] == "RUNNING")
    assert waiting["lastStatus"] == "PENDING"
    assert shown(waiting, "job")["lastStatus"] == "PENDING"
    stopped = fast.stop(task)
    assert "exitCode" not in shown(stopped, "job")
    assert shown(stopped, "init")["exitCode"] == 143


def test_a_start_timeout(fast: Fargate) -> None:
    task = run(
        fast,
        init("init", "exec sleep 600", startTimeout=2),
        container("job", after="init SUCCESS"),
    )
    stopped = fast.until(task, "STOPPED")
    assert re.search("ordering dependency .* has timed out", shown(stopped, "job")["reason"])


def check(text: str, **changes: Any) -> dict[str, Any]:
    return {"healthCheck": {"command": ["CMD-SHELL", text], "interval": 5} | changes}


def test_health_checks_run(fast: Fargate, tmp_path: Path) -> None:
    ready, ill = tmp_path / "ready", tmp_path / "ill"
    task = run(
        fast,
        container("db", **check(f"test -e {ready} && test ! -e {ill}", startPeriod=300)),
        container("job", after="db HEALTHY"),
        container(
            "other",
            essential=False,
            healthCheck={"command": ["CMD", "false"], "retries": 1, "interval": 5},
        ),
    )
    ignored = fast.wait(task, lambda now: shown(now, "other")["healthStatus"] == "UNHEALTHY")
    assert (ignored["healthStatus"], ignored["lastStatus"]) == ("UNKNOWN", "PENDING")
    assert shown(ignored, "job")["lastStatus"] == "PENDING"
    ready.touch()
    running = fast.until(task, "RUNNING")
    assert running["healthStatus"] == shown(running, "db")["healthStatus"] == "HEALTHY"
    assert shown(running, "job")["healthStatus"] == "UNKNOWN"
    ill.touch()
    fast.wait(task, lambda now: now["healthStatus"] == "UNHEALTHY")
    ill.unlink()
    fast.wait(task, lambda now: now["healthStatus"] == "HEALTHY")
    fast.stop(task)


def test_a_container_that_ends_before_it_is_healthy(fast: Fargate) -> None:
    db = init("db", "sleep 0.1", **check("false", retries=10, interval=300))
    stopped = fast.until(run(fast, db, container("job", after="db HEALTHY")), "STOPPED")
    assert "did not exit successfully" in shown(stopped, "job")["reason"]


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf"
OTHER = "ARM64" if platform.machine() == "x86_64" else "X86_64"
EFS = {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-0abc"}}
UNAVAILABLE: dict[str, tuple[Callable[[Fargate], dict[str, Any]], str]] = {
    "secret": (
        lambda here: run(here, container("job", secrets=[{"name": "A", "valueFrom": SECRET}])),
        f"ResourceInitializationError: .* secret from asm: .*{SECRET}",
    ),
    "parameter": (
        lambda here: run(here, container("job", secrets=[{"name": "A", "valueFrom": "/a"}])),
        "ResourceInitializationError: .* secrets from ssm: .*/a",
    ),
    "efs": (
        lambda here: run(here, container("job"), volumes=[EFS]),
        'ResourceInitializationError: .* EFS .*"fs-0abc.efs.eu-west-1.amazonaws.com"',
    ),
    "architecture": (
        lambda here: run(here, container("job"), runtimePlatform={"cpuArchitecture": OTHER}),
        "CannotPullContainerError: .* does not contain descriptor matching platform 'linux/",
    ),
    "image": (
        lambda here: run(here, container("job"), init("db", "", image="example.com/db:1")),
        "CannotPullContainerError: .* example.com/db:1: not found",
    ),
}


@pytest.mark.parametrize("what", UNAVAILABLE)
def test_what_is_not_there_ends_the_task_as_on_aws(fast: Fargate, what: str) -> None:
    start, says = UNAVAILABLE[what]
    stopped = fast.until(start(fast), "STOPPED")
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert re.match(says, stopped["stoppedReason"])
    reasons = {one["name"]: one.get("reason") for one in stopped["containers"]}
    assert reasons == (
        {"job": None, "db": stopped["stoppedReason"]}
        if what == "image"
        else {"job": stopped["stoppedReason"]}
    )


def test_a_rule_can_name_its_container(fast: Fargate) -> None:
    fast.faults({"task": {"container_exits_after": 1, "exit_code": 9, "container": "helper"}})
    fast.stop(fast.until(run(fast, container("job")), "RUNNING"))
    stopped = fast.until(run(fast, container("job"), container("helper")), "STOPPED")
    assert shown(stopped, "helper")["exitCode"] == 9
    assert shown(stopped, "job")["exitCode"] == 143
    assert stopped["stopCode"] == "EssentialContainerExited"
    fast.faults({"task": {"container_exits_after": 1, "exit_code": 9, "container": "db"}})
    task = run(fast, init("db", "exec sleep 600"), container("job"))
    running = fast.wait(task, lambda now: shown(now, "db").get("exitCode") == 9)
    assert running["lastStatus"] == "RUNNING"
    fast.stop(task)
