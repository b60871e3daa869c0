"""The cluster, and where in it tasks can be placed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

_FARGATE = {"FARGATE", "FARGATE_SPOT"}
_STRATEGY = (
    "`aws ecs put-cluster-capacity-providers --cluster {} --capacity-providers FARGATE FARGATE_SPOT"
    " --default-capacity-provider-strategy capacityProvider=FARGATE,weight=1`"
)


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
        "see [Fargate] Cluster and Region, and `aws ecs list-clusters`",
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
        yield wrong("cluster", f"{name} is {cluster['status']}", "create it again, or name another")
        yield unchecked("capacity", "the cluster isn't active")
        return
    yield ok("cluster", f"{name} is ACTIVE, {cluster['runningTasksCount']} tasks run")
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
            _STRATEGY.format(name),
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
            f"{_STRATEGY.format(name)}, or list [[Capacity]] in fargate.toml",
        )
    if not _FARGATE.intersection(strategy):
        return wrong(
            "capacity",
            f"the default capacity provider strategy is {', '.join(strategy)}: not Fargate's",
            'list [[Capacity]] with Provider = "FARGATE" in fargate.toml',
        )
    return ok("capacity", f"default strategy: {', '.join(strategy)}")
