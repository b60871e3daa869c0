from __future__ import annotations

from typing import Any

import pytest

from local_api.fargate_under_test import (
    NAME,
    NETWORK,
    Fargate,
    definition,
    fails,
)


def override(**changes: Any) -> dict[str, Any]:
    return {"overrides": {"containerOverrides": [{"name": NAME} | changes]}}


def network(**changes: Any) -> dict[str, Any]:
    return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]} | changes}}


SPOT = {"capacityProvider": "FARGATE_SPOT", "weight": 1}
LONG = {"environment": [{"name": "A", "value": "x" * 8192}]}
WRONG_RUNS: list[tuple[dict[str, Any], str]] = [
    ({"launchType": "EC2"}, "No Container Instances were found in your cluster."),
    (
        {"launchType": "FARGATE", "capacityProviderStrategy": [SPOT]},
        "Specifying both a launch type",
    ),
    ({"capacityProviderStrategy": [SPOT, SPOT]}, "once only"),
    ({"capacityProviderStrategy": [SPOT | {"weight": 0}]}, "weight greater than 0"),
    ({"capacityProviderStrategy": [{"capacityProvider": "x"}]}, "not associated with the cluster"),
    ({"count": 0}, "between 1 and 10"),
    ({"count": 11}, "between 1 and 10"),
    ({"networkConfiguration": {}}, "Network Configuration must be provided"),
    (network(subnets=[]), "subnets can not be empty."),
    (network(subnets=["subnet-0"] * 17), "at most 16"),
    (network(subnets=["subnet_0"]), "The subnet ID 'subnet_0' does not exist"),
    (network(securityGroups=["sg-0"] * 6), "at most 5"),
    (network(securityGroups=["web"]), "'web' does not exist"),
    (override(name="other"), "Override for container named other is not a container"),
    (override(**LONG), "Container Overrides length must be at most 8192"),
    (override(environment=[{"value": "x"}]), "names"),
    (override(environment=[{"name": "A", "value": "a\0"}]), "without NUL"),
    ({"startedBy": "x" * 129}, "startedBy"),
    ({"startedBy": "a b"}, "startedBy"),
    ({"clientToken": "x" * 65}, "client token"),
    ({"clientToken": "a b"}, "client token"),
    (
        {"tags": [{"key": str(number), "value": ""} for number in range(51)]},
        "less than or equal to",
    ),
    ({"tags": [{"key": "aws:x", "value": ""}]}, "aws:"),
    ({"tags": [{"key": "a"}, {"key": "a"}]}, "Duplicate"),
    ({"launchType": "MOON"}, "enum value set: [EC2, FARGATE"),
    ({"propagateTags": "YES"}, "enum value set"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG_RUNS)
def test_wrong_runs(here: Fargate, changes: dict[str, Any], says: str) -> None:
    before = len(here.tasks())
    fails("InvalidParameterException", says, here.run, **changes)
    assert len(here.tasks()) == before


def test_other_wrong_runs(here: Fargate) -> None:
    fails("PlatformUnknownException", "platform", here.run, platformVersion="9.9.9")
    for overrides, says in (
        ({"cpu": "256", "memory": "8192"}, "No Fargate"),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, "between 21 and 200"),
        (override(cpu=4096)["overrides"], "The sum of all container 'cpu' values"),
        (override(memory=8192)["overrides"], "greater than for the task"),
    ):
        fails("ClientException", says, here.run, overrides=overrides)


def test_a_token_stands_for_one_launch(here: Fargate) -> None:
    request = {"clientToken": "token-1", "count": 2, "startedBy": "manager"}
    first = here.client().run_task(taskDefinition=NAME, networkConfiguration=NETWORK, **request)
    again = here.client().run_task(taskDefinition=NAME, networkConfiguration=NETWORK, **request)
    arns = [task["taskArn"] for task in first["tasks"]]
    assert [task["taskArn"] for task in again["tasks"]] == arns
    assert len(set(arns)) == 2
    response = fails("ConflictException", "token", here.run, **{**request, "count": 1})
    assert response["resourceIds"] == arns
    here.client().create_cluster(clusterName="other")
    other = here.run(**request, cluster="other", launchType="FARGATE")
    assert other["taskArn"] not in arns
    here.stop(first["tasks"][0])
    stopped = here.run(**request)
    assert (stopped["taskArn"], stopped["desiredStatus"]) == (arns[0], "STOPPED")


def test_a_failed_launch_does_not_use_up_the_token(here: Fargate) -> None:
    fails("InvalidParameterException", "", here.run, clientToken="token-2", count=0)
    here.run(clientToken="token-2")


def test_tasks_are_spread_over_providers(here: Fargate) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "weight": 1, "base": 2},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    tasks = here.client().run_task(
        taskDefinition=NAME,
        networkConfiguration=NETWORK,
        capacityProviderStrategy=strategy,
        count=10,
    )["tasks"]
    providers = [task["capacityProviderName"] for task in tasks]
    assert (providers.count("FARGATE"), providers.count("FARGATE_SPOT")) == (4, 6)
    assert "capacityProviderName" not in here.run(launchType="FARGATE")


def test_tags(here: Fargate) -> None:
    ecs = here.client()
    definition(here, "tagged", tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "1"}])
    task = here.run(
        taskDefinition="tagged",
        tags=[{"key": "b", "value": "2"}],
        propagateTags="TASK_DEFINITION",
        enableECSManagedTags=True,
    )
    arn = task["taskArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "3"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a", "no"])
    expected = {"b": "2", "c": "3", "aws:ecs:clusterName": "default"}
    for shown in (ecs.list_tags_for_resource(resourceArn=arn)["tags"], here.describe(task)["tags"]):
        assert {tag["key"]: tag["value"] for tag in shown} == expected
    assert ecs.describe_tasks(tasks=[arn])["tasks"][0]["tags"] == []
    many = [{"key": f"k{number}", "value": ""} for number in range(48)]
    fails("LimitExceededException", "50", ecs.tag_resource, resourceArn=arn, tags=many)
    fails("ResourceNotFoundException", "", ecs.tag_resource, resourceArn=f"{arn}0", tags=[])
    fails("InvalidParameterException", "", ecs.tag_resource, resourceArn="x", tags=[])
    for resource in (task["clusterArn"], task["taskDefinitionArn"]):
        ecs.tag_resource(resourceArn=resource, tags=[{"key": "d", "value": "4"}])
        tags = ecs.list_tags_for_resource(resourceArn=resource)["tags"]
        assert {"key": "d", "value": "4"} in tags
