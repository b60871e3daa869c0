from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from local_api.fargate_under_test import Fargate, fargate
from local_api.sleeping_runtime import BROKEN_IMAGE, COMMAND

if TYPE_CHECKING:
    from pathlib import Path


def command(text: str) -> dict[str, Any]:
    return {
        "containerOverrides": [
            {"name": "ci-coordinator", "environment": [{"name": COMMAND, "value": text}]}
        ]
    }


def definition_with(here: Fargate, **container: Any) -> str:
    family = f"family-{len(here.tasks())}"
    answer = here.client().register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        taskRoleArn="arn:aws:iam::123456789012:role/job",
        containerDefinitions=[
            {"name": "ci-coordinator", "image": "fargate-local/host:latest"} | container
        ],
    )
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


def details(task: dict[str, Any]) -> dict[str, str]:
    (attachment,) = task["attachments"]
    return {detail["name"]: detail["value"] for detail in attachment["details"]}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_status_is_seen_in_order(tmp_path: Path) -> None:
    seen: dict[str, dict[str, Any]] = {}

    def note(shown: dict[str, Any]) -> str:
        seen.setdefault(shown["lastStatus"], shown)
        return str(shown["lastStatus"])

    with fargate(tmp_path, time_scale=12) as here:
        task = here.run(
            overrides=command("trap 'sleep 0.3; exit 3' TERM; while :; do sleep 0.1; done")
        )
        here.wait(task, lambda shown: note(shown) == "RUNNING")
        here.client().stop_task(task=task["taskArn"], reason="seen enough")
        stopped = here.wait(task, lambda shown: note(shown) == "STOPPED")
    assert list(seen) == [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]
    versions = [shown["version"] for shown in seen.values()]
    assert versions == sorted(set(versions))
    assert seen["DEACTIVATING"]["desiredStatus"] == "STOPPED"
    assert stopped["containers"][0]["exitCode"] == 3


def test_an_interface_has_no_address_at_first(here: Fargate) -> None:
    here.faults({"task": {"eni_delay": 0.3}})
    task = here.run()
    assert details(task) == {"subnetId": "subnet-0abc"}
    assert task["attachments"][0]["status"] == "PRECREATED"
    attaching = here.wait(task, lambda shown: "networkInterfaceId" in details(shown))
    assert "privateIPv4Address" not in details(attaching)
    assert attaching["containers"][0]["networkInterfaces"] == []
    assert attaching["lastStatus"] == "PROVISIONING"
    running = here.until(task, "RUNNING")
    address = details(running)["privateIPv4Address"]
    assert address == running["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    assert details(running)["macAddress"].count(":") == 5


def test_times_and_what_a_running_task_shows(here: Fargate) -> None:
    task = here.until(here.run(startedBy="manager/1"), "RUNNING")
    moments = ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt"]
    times = [task[moment] for moment in moments]
    assert times == sorted(times)
    assert task["connectivity"] == "CONNECTED"
    assert task["desiredStatus"] == "RUNNING"
    assert task["startedBy"] == "manager/1"
    assert task["group"] == "family:ci-coordinator"
    assert task["launchType"] == "FARGATE"
    assert task["capacityProviderName"] == "FARGATE"
    assert task["platformVersion"] == "1.4.0"
    assert task["platformFamily"] == "Linux"
    assert task["healthStatus"] == "UNKNOWN"
    assert task["containers"][0]["lastStatus"] == "RUNNING"
    assert task["taskArn"].startswith("arn:aws:ecs:eu-west-1:123456789012:task/default/")
    assert "stopCode" not in task


def test_a_stopped_task_keeps_its_story_and_leaves_nothing(here: Fargate) -> None:
    task = here.until(here.run(), "RUNNING")
    running = here.runtime.started[-1]
    assert alive(running.container.pid)
    stopped = here.stop(task, "job 1 was cancelled")
    assert not alive(running.container.pid)
    assert not running.spec.directory.exists()
    assert stopped["stopCode"] == "UserInitiated"
    assert stopped["stoppedReason"] == "job 1 was cancelled"
    assert stopped["desiredStatus"] == "STOPPED"
    assert stopped["containers"][0]["exitCode"] == 143
    assert stopped["containers"][0]["lastStatus"] == "STOPPED"
    assert stopped["stoppingAt"] <= stopped["executionStoppedAt"] <= stopped["stoppedAt"]
    assert stopped["attachments"][0]["status"] == "DELETED"
    assert running.container.events == ["stop 30"]
    again = here.client().stop_task(task=task["taskArn"], reason="another")["task"]
    assert again["stoppedReason"] == "job 1 was cancelled"


def test_stop_without_a_reason(here: Fargate) -> None:
    task = here.until(here.run(), "RUNNING")
    here.client().stop_task(task=task["taskArn"].rpartition("/")[2])
    assert here.until(task, "STOPPED")["stoppedReason"] == "Task stopped by user"


def test_stop_timeout_is_the_grace(here: Fargate) -> None:
    definition = definition_with(here, stopTimeout=1)
    stubborn = command("trap '' TERM; while :; do sleep 0.1; done")
    task = here.until(here.run(taskDefinition=definition, overrides=stubborn), "RUNNING")
    assert here.stop(task)["containers"][0]["exitCode"] == 137
    assert here.runtime.started[-1].container.events == ["stop 1"]


def test_a_task_can_be_stopped_before_it_runs(here: Fargate) -> None:
    here.faults({"task": {"start_delay": 60}})
    task = here.run()
    stopped = here.stop(task)
    assert stopped["stopCode"] == "UserInitiated"
    assert "exitCode" not in stopped["containers"][0]
    assert "startedAt" not in stopped


def test_a_container_that_exits_by_itself(here: Fargate) -> None:
    stopped = here.until(here.run(overrides=command("exit 5")), "STOPPED")
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert stopped["containers"][0]["exitCode"] == 5
    assert "reason" not in stopped["containers"][0]
    assert stopped["overrides"]["containerOverrides"][0]["name"] == "ci-coordinator"


def test_a_container_out_of_memory(here: Fargate) -> None:
    (container,) = here.until(here.run(overrides=command("exit 99")), "STOPPED")["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_an_unknown_image_fails_as_on_aws(here: Fargate) -> None:
    for image, reference in {
        "nowhere": "docker.io/library/nowhere:latest",
        "group/tool:1": "docker.io/group/tool:1",
        "example.com:5000/tool": "example.com:5000/tool:latest",
    }.items():
        definition = definition_with(here, image=image)
        stopped = here.until(here.run(taskDefinition=definition), "STOPPED")
        assert stopped["stopCode"] == "TaskFailedToStart"
        assert stopped["stoppedReason"] == (
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
            f"failed to resolve ref {reference}: {reference}: not found"
        )
        assert stopped["containers"][0]["reason"] == stopped["stoppedReason"]


def test_a_runtime_that_fails(here: Fargate) -> None:
    definition = definition_with(here, image=BROKEN_IMAGE)
    stopped = here.until(here.run(taskDefinition=definition), "STOPPED")
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"].startswith("ResourceInitializationError: ")
    assert "no addresses are left" in stopped["stoppedReason"]


def test_the_environment_of_a_container(here: Fargate) -> None:
    definition = definition_with(
        here, environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    )
    overrides = {
        "containerOverrides": [
            {"name": "ci-coordinator", "environment": [{"name": "B", "value": "x 'y'\n"}]}
        ]
    }
    here.until(here.run(taskDefinition=definition, overrides=overrides), "RUNNING")
    spec = here.runtime.started[-1].spec
    environment = spec.containers[0].environment
    assert (environment["A"], environment["B"]) == ("1", "x 'y'\n")
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environment["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert environment["ECS_CONTAINER_METADATA_URI_V4"].startswith("http://169.254.170.2/v4/")
    assert environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"].startswith("/v2/credentials/")
    assert (spec.cpu, spec.memory) == (256, 512)


def test_stopped_tasks_stay_listed(here: Fargate) -> None:
    task = here.until(here.run(overrides=command("exit 0")), "STOPPED")
    assert task["taskArn"] in [shown["taskArn"] for shown in here.tasks()]
    client = here.client()
    assert task["taskArn"] in client.list_tasks(desiredStatus="STOPPED")["taskArns"]
    assert task["taskArn"] not in client.list_tasks()["taskArns"]
