from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.sizes import check_size, cpu_units, memory_mib
from local_api.fargate_under_test import (
    IMAGE,
    NAME,
    Fargate,
    definition,
    fails,
    raw,
)


def test_task_definitions(here: Fargate) -> None:
    ecs = here.client()
    tags = [{"key": "a", "value": "b"}]
    first = definition(here, "tool", cpu="1 vCPU", memory="2 GB", tags=tags)
    assert first["tags"] == [{"key": "a", "value": "b"}]
    shown = first["taskDefinition"]
    assert (shown["cpu"], shown["memory"]) == ("1024", "2048")
    assert shown["taskDefinitionArn"].endswith(":task-definition/tool:1")
    assert shown["compatibilities"] == ["EC2", "FARGATE"]
    assert shown["containerDefinitions"][0]["essential"] is True
    assert definition(here, "tool")["taskDefinition"]["revision"] == 2
    arns = ecs.list_task_definitions(familyPrefix="tool")["taskDefinitionArns"]
    assert [arn.rpartition("/")[2] for arn in arns] == ["tool:1", "tool:2"]
    page = ecs.list_task_definitions(familyPrefix="tool", maxResults=1, sort="DESC")
    assert page["taskDefinitionArns"] == [arns[1]]
    page = ecs.list_task_definitions(
        familyPrefix="tool", maxResults=1, sort="DESC", nextToken=page["nextToken"]
    )
    assert page["taskDefinitionArns"] == [arns[0]]
    assert "nextToken" not in page
    for name, revision in {"tool": 2, "tool:1": 1, arns[0]: 1}.items():
        found = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
        assert found["taskDefinition"]["revision"] == revision
    gone = ecs.deregister_task_definition(taskDefinition="tool:2")["taskDefinition"]
    assert gone["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition="tool")["taskDefinition"]["revision"] == 1
    fails("ClientException", "inactive", here.run, taskDefinition="tool:2")
    assert ecs.list_task_definitions(status="INACTIVE")["taskDefinitionArns"] == [arns[1]]


def test_unknown_task_definitions(here: Fargate) -> None:
    ecs = here.client()
    for name in (
        "no",
        "ci-coordinator:2",
        "arn:aws:ecs:us-east-1:123456789012:task-definition/x:1",
    ):
        fails("ClientException", "TaskDefinition not found.", here.run, taskDefinition=name)
        fails("ClientException", "Unable to", ecs.describe_task_definition, taskDefinition=name)
    missing = "Revision is missing."
    deregister = ecs.deregister_task_definition
    fails("InvalidParameterException", missing, deregister, taskDefinition=NAME)


CONTAINER: dict[str, Any] = {"name": NAME, "image": IMAGE}


def depending(on: str, condition: str, init: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a container that depends on another one, maybe the one called init."""
    dependency = {"containerName": on, "condition": condition}
    return {
        "containerDefinitions": [
            {"name": "init", "image": IMAGE, "essential": False} | (init or {}),
            CONTAINER | {"dependsOn": [dependency]},
        ]
    }


WRONG_DEFINITIONS: list[tuple[dict[str, Any], str]] = [
    ({"cpu": "256", "memory": "4096"}, "No Fargate configuration exists for given values"),
    ({"cpu": "300"}, "No Fargate configuration exists for given values: 300 CPU, 512 memory"),
    ({"cpu": None}, "Fargate requires that 'cpu' be defined at the task level."),
    ({"memory": None}, "Fargate requires that 'memory' be defined at the task level."),
    ({"cpu": "fast"}, "Invalid 'cpu' setting for task."),
    ({"networkMode": "bridge"}, "Fargate only supports network mode"),
    ({"networkMode": None}, "Fargate only supports network mode"),
    ({"family": "a b"}, "Family contains invalid characters."),
    ({"containerDefinitions": []}, "Container list cannot be empty."),
    ({"containerDefinitions": [{"name": NAME}]}, "Container.image should not be null or empty."),
    ({"containerDefinitions": [{"image": "x"}]}, "Container.name should not be null or empty."),
    ({"containerDefinitions": [CONTAINER, CONTAINER]}, "unique"),
    ({"containerDefinitions": [CONTAINER | {"name": "a b"}]}, "invalid characters"),
    ({"containerDefinitions": [CONTAINER | {"essential": False}]}, "essential"),
    ({"containerDefinitions": [CONTAINER | {"privileged": True}]}, "privileged"),
    ({"containerDefinitions": [CONTAINER | {"stopTimeout": 121}]}, "120 seconds"),
    ({"containerDefinitions": [CONTAINER | {"environment": [{"value": "x"}]}]}, "names"),
    ({"containerDefinitions": [CONTAINER | {"name": f"c{n}"} for n in range(11)]}, "Too many"),
    (
        {"containerDefinitions": [CONTAINER | {"cpu": 200}, CONTAINER | {"name": "b", "cpu": 57}]},
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
    ),
    (
        {"containerDefinitions": [CONTAINER | {"memory": 513}]},
        "The 'memory' setting for container 'ci-coordinator' is greater than for the task.",
    ),
    (
        {
            "containerDefinitions": [
                CONTAINER | {"memory": 300},
                CONTAINER | {"name": "b", "memory": 512, "memoryReservation": 213},
            ]
        },
        "The sum of all container 'memory' values",
    ),
    ({"containerDefinitions": [CONTAINER | {"memory": 5}]}, "'memory' must be at least 6"),
    (
        {"containerDefinitions": [CONTAINER | {"memory": 64, "memoryReservation": 64}]},
        "'memory' must be greater than 'memoryReservation'",
    ),
    ({"containerDefinitions": [CONTAINER | {"cpu": -1}]}, "'cpu' must be at least 0"),
    (depending(on="other", condition="START"), "unknown container 'other'"),
    (depending(on=NAME, condition="START"), "circular"),
    (
        depending(on="init", condition="SUCCESS", init={"essential": True}),
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential",
    ),
    (depending(on="init", condition="HEALTHY"), "must have a health check"),
    (
        depending(
            on="init",
            condition="START",
            init={"dependsOn": [{"containerName": NAME, "condition": "START"}]},
        ),
        "circular dependency of containers: init -> ci-coordinator -> init",
    ),
    ({"containerDefinitions": [CONTAINER | {"startTimeout": 121}]}, "120 seconds"),
    ({"containerDefinitions": [CONTAINER | {"healthCheck": {"command": ["curl"]}}]}, "CMD"),
    ({"containerDefinitions": [CONTAINER | {"healthCheck": {"command": ["CMD"]}}]}, "CMD"),
    (
        {
            "containerDefinitions": [
                CONTAINER | {"healthCheck": {"command": ["CMD", "true"], "interval": 4}}
            ]
        },
        "interval must be between 5 and 300",
    ),
    (
        {"containerDefinitions": [CONTAINER | {"mountPoints": [{"sourceVolume": "v"}]}]},
        "Unknown volume 'v'.",
    ),
    (
        {
            "containerDefinitions": [
                CONTAINER | {"mountPoints": [{"sourceVolume": "v", "containerPath": "x"}]}
            ],
            "volumes": [{"name": "v"}],
        },
        "absolute",
    ),
    ({"volumes": [{"name": "v"}, {"name": "v"}]}, "unique"),
    ({"volumes": [{"name": "v", "host": {"sourcePath": "/etc"}}]}, "host paths"),
    (
        {"containerDefinitions": [CONTAINER | {"logConfiguration": {"logDriver": "awslogs"}}]},
        "task definition to have execution role ARN to support log driver awslogs.",
    ),
    (
        {
            "containerDefinitions": [
                {"name": NAME, "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a"}
            ]
        },
        "Fargate requires task definition to have execution role ARN to support ECR images.",
    ),
    (
        {"containerDefinitions": [CONTAINER | {"secrets": [{"name": "A", "valueFrom": "/a"}]}]},
        "you must also specify a value for 'executionRoleArn'",
    ),
    (
        {
            "containerDefinitions": [
                CONTAINER | {"portMappings": [{"containerPort": 22, "hostPort": 23}]}
            ]
        },
        "the host ports and container ports",
    ),
    ({"ephemeralStorage": {"sizeInGiB": 500}}, "between 21 and 200"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG_DEFINITIONS)
def test_wrong_task_definitions(here: Fargate, changes: dict[str, Any], says: str) -> None:
    def register() -> None:
        definition(here, **{"family": "wrong", **changes})

    fails("ClientException", says, register)
    assert here.client().list_task_definitions(familyPrefix="wrong")["taskDefinitionArns"] == []


def test_a_definition_for_ec2_does_not_run(here: Fargate) -> None:
    shown = definition(here, "ec2", networkMode="bridge", requiresCompatibilities=["EC2"])
    assert shown["taskDefinition"]["compatibilities"] == ["EC2"]
    says = "Task definition does not support launch_type FARGATE."
    fails("InvalidParameterException", says, here.run, taskDefinition="ec2")


def test_what_the_embedded_fargate_cannot_run(here: Fargate) -> None:
    windows = {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}
    definition(here, "windows", runtimePlatform=windows)
    fails("UnsupportedFeatureException", "WINDOWS", here.run, taskDefinition="windows")
    override = {"name": NAME, "environmentFiles": [{"value": "arn:aws:s3:::a/b", "type": "s3"}]}
    overrides = {"containerOverrides": [override]}
    fails("UnsupportedFeatureException", "no S3", here.run, overrides=overrides)


def test_families(here: Fargate) -> None:
    ecs = here.client()
    for family in ("image-a", "image-b", "image-b"):
        definition(here, family)
    ecs.deregister_task_definition(taskDefinition="image-a:1")
    ecs.deregister_task_definition(taskDefinition="image-b:1")

    def families(**request: Any) -> list[str]:
        found: list[str] = ecs.list_task_definition_families(familyPrefix="image-", **request)[
            "families"
        ]
        return found

    assert families() == families(status="ALL") == ["image-a", "image-b"]
    assert families(status="ACTIVE") == ["image-b"]
    assert families(status="INACTIVE") == ["image-a"]
    assert families(maxResults=1) == ["image-a"]


def test_concurrent_revisions_can_be_injected(here: Fargate) -> None:
    says = "Too many concurrent attempts to create a new revision of the specified family."
    rule = {"operation": "RegisterTaskDefinition", "error": "ClientException", "message": says}
    here.faults(rule)
    fails("ClientException", says, lambda: definition(here, "many"))
    assert definition(here, "many")["taskDefinition"]["revision"] == 1


WORD = st.sampled_from(
    ["init", NAME, "v", "/v", "", "CMD", "START", "SUCCESS", "HEALTHY", "awslogs"]
)
KEY = st.sampled_from(
    (
        "containerName",
        "condition",
        "sourceVolume",
        "containerPath",
        "command",
        "interval",
        "name",
        "containerPort",
        "hostPort",
        "logDriver",
        "options",
        "valueFrom",
        "value",
        "sourcePath",
    )
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**31) | WORD,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
)
CONTAINER_KEY = st.sampled_from(
    (
        "dependsOn",
        "healthCheck",
        "mountPoints",
        "portMappings",
        "logConfiguration",
        "environment",
        "secrets",
        "entryPoint",
        "command",
        "memory",
        "cpu",
        "essential",
        "startTimeout",
        "user",
    )
)


@given(
    init=st.dictionaries(CONTAINER_KEY, VALUE, max_size=3),
    job=st.dictionaries(CONTAINER_KEY, VALUE, max_size=3),
    volumes=st.just([{"name": "v"}]) | VALUE,
)
def test_any_definition_is_answered_without_an_internal_error(
    here: Fargate, init: dict[str, Any], job: dict[str, Any], volumes: Any
) -> None:
    request = {
        "family": "any",
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [CONTAINER | {"name": "init"} | init, CONTAINER | job],
        "volumes": volumes,
    }
    status, answer = raw(here, "RegisterTaskDefinition", json.dumps(request).encode())
    assert status in {200, 400}, answer


@given(cpu=st.integers(0, 40_000), memory=st.integers(0, 200_000))
def test_sizes(cpu: int, memory: int) -> None:
    try:
        check_size(cpu, memory)
    except ApiError:
        return
    assert cpu % 256 == 0
    assert 2 * cpu <= memory <= 8 * cpu


@given(st.text(max_size=20))
def test_any_text_as_a_size(text: str) -> None:
    for read in (cpu_units, memory_mib):
        with contextlib.suppress(ApiError):
            assert read(text) >= 0
