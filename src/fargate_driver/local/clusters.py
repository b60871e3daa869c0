"""The operations on clusters.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCluster.html and its siblings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fargate_driver.local import paging, tags
from fargate_driver.local.api_errors import ApiError, client_error, invalid_parameter
from fargate_driver.local.world import Cluster

if TYPE_CHECKING:
    from fargate_driver.local.world import Region, World

FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MOST_CLUSTERS = 100  # of one DescribeClusters call


def create_cluster(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CreateCluster: returns the existing one where the name is taken, as AWS does."""
    name = request.get("clusterName", "default")
    if not _NAME.fullmatch(name):
        raise invalid_parameter("Cluster name is invalid: letters, digits, - and _ are allowed.")
    cluster = region.clusters.get(name)
    if cluster is None or not cluster.active:
        providers = request.get("capacityProviders", [])
        strategy = request.get("defaultCapacityProviderStrategy", [])
        check_providers(providers)
        check_strategy(strategy, providers)
        cluster = Cluster(
            region.name,
            name,
            providers,
            strategy,
            tags.from_list(request.get("tags", [])),
            request.get("settings", []),
        )
        region.clusters[name] = cluster
    return {"cluster": _describe(world, cluster)}


def describe_clusters(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeClusters."""
    identifiers = request.get("clusters") or ["default"]
    if len(identifiers) > _MOST_CLUSTERS:
        raise invalid_parameter("Clusters cannot be greater than 100 elements.")
    found, failures = [], []
    for identifier in identifiers:
        cluster = region.find_cluster(identifier)
        if cluster is None:
            failures.append({"arn": identifier, "reason": "MISSING"})
        else:
            shown = _describe(world, cluster)
            if "TAGS" not in request.get("include", []):
                shown["tags"] = []
            found.append(shown)
    return {"clusters": found, "failures": failures}


def list_clusters(_world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListClusters."""
    arns = [cluster.arn for cluster in region.clusters.values() if cluster.active]
    return paging.page("clusterArns", arns, request)


def delete_cluster(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteCluster: refused while tasks run there."""
    cluster = region.cluster(request["cluster"])
    if any(task.status != "STOPPED" for task in _tasks(world, cluster)):
        raise ApiError(
            "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
        )
    cluster.active = False
    return {"cluster": _describe(world, cluster)}


def put_capacity_providers(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """PutClusterCapacityProviders."""
    cluster = region.cluster(request["cluster"])
    check_providers(request["capacityProviders"])
    check_strategy(request["defaultCapacityProviderStrategy"], request["capacityProviders"])
    cluster.providers = request["capacityProviders"]
    cluster.default_strategy = request["defaultCapacityProviderStrategy"]
    return {"cluster": _describe(world, cluster)}


def check_providers(providers: list[str]) -> None:
    """Refuse capacity providers that aren't Fargate's.

    Raises:
        ApiError: InvalidParameterException.
    """
    for provider in providers:
        if provider not in FARGATE_PROVIDERS:
            raise invalid_parameter(
                "The specified capacity provider does not exist. "
                "Specify a valid name or ARN and try again."
            )


def check_strategy(strategy: list[dict[str, Any]], attached: list[str]) -> None:
    """Refuse a capacity provider strategy that the cluster can't follow.

    Raises:
        ApiError: a provider that isn't attached to the cluster, or impossible weights.
    """
    names = [item["capacityProvider"] for item in strategy]
    if any(name not in attached for name in names):
        raise invalid_parameter(
            "The specified capacity provider strategy cannot contain a capacity provider that is "
            "not associated with the cluster. Associate the capacity provider with the cluster "
            "and try again."
        )
    if len(set(names)) != len(names):
        raise invalid_parameter("A capacity provider strategy names each provider once only.")
    if strategy and not any(item.get("weight", 0) for item in strategy):
        raise invalid_parameter(
            "The specified capacity provider strategy must contain at least one provider with a "
            "weight greater than 0."
        )
    if sum(1 for item in strategy if item.get("base", 0)) > 1:
        raise client_error("Only one capacity provider of a strategy can have a base defined.")


def _tasks(world: World, cluster: Cluster) -> list[Any]:
    return [
        task
        for task in world.tasks.values()
        if (task.region, task.cluster) == (cluster.region, cluster.name)
    ]


def _describe(world: World, cluster: Cluster) -> dict[str, Any]:
    statuses = [task.status for task in _tasks(world, cluster)]
    return {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE" if cluster.active else "INACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": statuses.count("RUNNING"),
        "pendingTasksCount": sum(
            statuses.count(status) for status in ("PROVISIONING", "PENDING", "ACTIVATING")
        ),
        "activeServicesCount": 0,
        "statistics": [],
        "tags": tags.as_list(cluster.tags),
        "settings": cluster.settings,
        "capacityProviders": cluster.providers,
        "defaultCapacityProviderStrategy": cluster.default_strategy,
    }
