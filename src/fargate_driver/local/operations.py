"""The operations that the embedded Fargate offers, beside EC2's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fargate_driver.local import clusters, definitions, logs, run_task, tagging, tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.local.world import Region, World

Operation = Callable[["World", "Region", dict[str, Any]], dict[str, Any]]
"""Answers a checked request in a region, at once."""

OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "ecs": {
        "CreateCluster": clusters.create_cluster,
        "DeleteCluster": clusters.delete_cluster,
        "DeregisterTaskDefinition": definitions.deregister,
        "DescribeClusters": clusters.describe_clusters,
        "DescribeTaskDefinition": definitions.describe,
        "DescribeTasks": tasks.describe_tasks,
        "ListClusters": clusters.list_clusters,
        "ListTagsForResource": tagging.list_tags,
        "ListTaskDefinitionFamilies": definitions.list_families,
        "ListTaskDefinitions": definitions.list_all,
        "ListTasks": tasks.list_tasks,
        "PutClusterCapacityProviders": clusters.put_capacity_providers,
        "RegisterTaskDefinition": definitions.register,
        "RunTask": run_task.run_task,
        "StopTask": tasks.stop_task,
        "TagResource": tagging.tag,
        "UntagResource": tagging.untag,
    },
    "logs": {
        "DescribeLogStreams": logs.describe_log_streams,
        "GetLogEvents": logs.get_log_events,
    },
}
"""By service, as botocore names it."""
