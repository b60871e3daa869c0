"""The cluster, and where in it tasks can be placed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

_FARGATE = {"FARGATE", "FARGATE_SPOT"}


def look(aws: Aws, config: Settings, tasks: CallError | None) -> Iterator[Finding]:
    """Check the cluster and its capacity.

    Args:
        aws: For the calls.
        config: The settings.
        tasks: Why DescribeTasks failed in this cluster; None where it didn't.
    """
    name = config.fargate.cluster
    missing = wrong(
        "cluster",
        f"there is no cluster {name} in {config.fargate.region} of this account",
        "set [Fargate] Cluster to one of those that `aws ecs list-clusters --region"
        f" {config.fargate.region}` shows, or set Region",
    )
    try:
        answer = aws.call("ecs:DescribeClusters", clusters=[name])
    except CallError as error:
        if tasks and tasks.code == "ClusterNotFoundException":
            yield missing
        elif tasks is None:
            yield ok("cluster", f"{name} exists; its state can't be seen: {error.why}")
        else:
            yield unchecked("cluster", error.why)
        yield _by_launch_type(config) or unchecked("capacity", error.why)
        return
    if not answer["clusters"]:
        yield missing
        yield unchecked("capacity", "there is no such cluster")
        return
    cluster = answer["clusters"][0]
    if cluster["status"] != "ACTIVE":
        mend = (
            f"`aws ecs create-cluster --cluster-name {name}`, or set [Fargate] Cluster to another"
        )
        yield wrong("cluster", f"{name} is {cluster['status']}", mend)
        yield unchecked("capacity", "the cluster isn't active")
        return
    yield ok("cluster", f"{name} is ACTIVE, running tasks: {cluster['runningTasksCount']}")
    yield _by_launch_type(config) or _capacity(config, cluster)


def _by_launch_type(config: Settings) -> Finding | None:
    """Launch types need nothing of the cluster."""
    if config.capacity and all(entry.launch_type for entry in config.capacity):
        return ok("capacity", "[[Capacity]] asks for the launch type FARGATE, which needs none")
    return None


def _capacity(config: Settings, cluster: dict[str, Any]) -> Finding:
    name = config.fargate.cluster
    attached = cluster.get("capacityProviders", [])
    asked = [entry.provider for entry in config.capacity if entry.provider]
    absent = sorted(set(asked) - set(attached))
    if absent:
        return wrong(
            "capacity",
            f"[[Capacity]] names {', '.join(absent)}, which {name} doesn't have"
            f" (it has {', '.join(attached) or 'none'})",
            f"{_provide(config, cluster)}, or take them out of fargate.toml",
        )
    if asked:
        return ok(
            "capacity", f"[[Capacity]]: {', '.join(entry.label for entry in config.capacity)}"
        )
    strategy = [item["capacityProvider"] for item in cluster["defaultCapacityProviderStrategy"]]
    if not strategy:
        return wrong(
            "capacity",
            f"{name} has no default capacity provider strategy, and the configuration no"
            " [[Capacity]]: ECS would look for EC2 instances",
            f"{_provide(config, cluster)}, or add [[Capacity]] with"
            ' LaunchType = "FARGATE" to fargate.toml',
        )
    if not _FARGATE.intersection(strategy):
        return wrong(
            "capacity",
            f"the default capacity provider strategy is {', '.join(strategy)}: not Fargate's",
            'add [[Capacity]] with LaunchType = "FARGATE" to fargate.toml',
        )
    return ok("capacity", f"default strategy: {', '.join(strategy)}")


def _provide(config: Settings, cluster: dict[str, Any]) -> str:
    """The command that adds what is missing: it replaces all that the cluster has."""
    asked = [entry.provider for entry in config.capacity if entry.provider]
    providers = dict.fromkeys([*cluster.get("capacityProviders", []), *asked, *sorted(_FARGATE)])
    strategy = cluster["defaultCapacityProviderStrategy"] or [{"capacityProvider": "FARGATE"}]
    items = [
        f"capacityProvider={item['capacityProvider']},weight={item.get('weight', 1)},"
        f"base={item.get('base', 0)}"
        for item in strategy
    ]
    return (
        f"`aws ecs put-cluster-capacity-providers --region {config.fargate.region} --cluster"
        f" {config.fargate.cluster} --capacity-providers {' '.join(providers)}"
        f" --default-capacity-provider-strategy {' '.join(items)}`"
    )
