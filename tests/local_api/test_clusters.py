from __future__ import annotations

import pytest

from local_api.fargate_under_test import (
    NAME,
    NETWORK,
    Fargate,
    fails,
)


def test_clusters(here: Fargate) -> None:
    ecs = here.client()
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    made = ecs.create_cluster(
        clusterName="jobs",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy,
        tags=[{"key": "team", "value": "ci"}],
    )["cluster"]
    assert made["clusterArn"] == "arn:aws:ecs:eu-west-1:123456789012:cluster/jobs"
    assert made["status"] == "ACTIVE"
    assert ecs.create_cluster(clusterName="jobs")["cluster"]["capacityProviders"]
    assert made["clusterArn"] in ecs.list_clusters()["clusterArns"]
    task = here.run(cluster="jobs")
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    shown = ecs.describe_clusters(clusters=["jobs", "no"], include=["TAGS"])
    assert shown["clusters"][0]["tags"] == [{"key": "team", "value": "ci"}]
    assert (
        shown["clusters"][0]["pendingTasksCount"] + shown["clusters"][0]["runningTasksCount"] == 1
    )
    assert shown["failures"] == [{"arn": "no", "reason": "MISSING"}]
    fails("ClusterContainsTasksException", "active", ecs.delete_cluster, cluster="jobs")
    assert here.client().describe_tasks(tasks=[task["taskArn"]])["failures"]  # of cluster default
    changed = ecs.put_cluster_capacity_providers(
        cluster="jobs", capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    assert changed["cluster"]["defaultCapacityProviderStrategy"] == []
    no_instances = "No Container Instances were found in your cluster."
    fails("InvalidParameterException", no_instances, here.run, cluster=made["clusterArn"])
    here.run(cluster="jobs", launchType="FARGATE")


def test_a_deleted_cluster(here: Fargate) -> None:
    ecs = here.client()
    ecs.create_cluster(clusterName="short-lived")
    assert ecs.delete_cluster(cluster="short-lived")["cluster"]["status"] == "INACTIVE"
    fails("ClientException", "inactive", here.run, cluster="short-lived")
    assert ecs.create_cluster(clusterName="short-lived")["cluster"]["status"] == "ACTIVE"


def test_wrong_clusters(here: Fargate) -> None:
    ecs = here.client()
    for call in (here.run, ecs.list_tasks):
        fails("ClusterNotFoundException", "Cluster not found.", call, cluster="no")
    invalid = "InvalidParameterException"
    fails(invalid, "name", ecs.create_cluster, clusterName="a b")
    fails(invalid, "does not exist", ecs.create_cluster, clusterName="x", capacityProviders=["EC"])


@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("ap-southeast-2", "aws")],
)
def test_every_region_is_furnished(here: Fargate, region: str, partition: str) -> None:
    ecs = here.client(region=region)
    (task,) = ecs.run_task(taskDefinition=NAME, networkConfiguration=NETWORK)["tasks"]
    prefix = f"arn:{partition}:ecs:{region}:123456789012:"
    assert task["taskArn"].startswith(f"{prefix}task/default/")
    assert task["taskDefinitionArn"] == f"{prefix}task-definition/{NAME}:1"
    assert task["availabilityZone"] == f"{region}a"
    assert here.client().describe_tasks(tasks=[task["taskArn"]])["failures"]
    ecs.stop_task(task=task["taskArn"])
