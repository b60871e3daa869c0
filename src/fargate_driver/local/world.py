"""What exists in the embedded Fargate: clusters, task definitions and tasks, region by region."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fargate_driver.local.api_errors import ApiError, client_error
from fargate_driver.local.arns import arn, resource_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.local.faults import Faults
    from fargate_driver.local.lifecycle import Fleet
    from fargate_driver.local.limits import Limits
    from fargate_driver.local.log_streams import LogStreams
    from fargate_driver.local.task import Task


@dataclass
class Cluster:
    """A cluster."""

    region: str
    name: str
    providers: list[str]
    default_strategy: list[dict[str, Any]]
    tags: dict[str, str] = field(default_factory=dict)
    settings: list[dict[str, str]] = field(default_factory=list)
    active: bool = True

    @property
    def arn(self) -> str:
        """The cluster's ARN."""
        return arn("ecs", self.region, f"cluster/{self.name}")


@dataclass
class Definition:
    """One revision of a task definition."""

    shown: dict[str, Any]
    """As DescribeTaskDefinition shows it, defaults filled in."""
    tags: dict[str, str]

    @property
    def arn(self) -> str:
        """The revision's ARN."""
        return str(self.shown["taskDefinitionArn"])

    @property
    def active(self) -> bool:
        """Whether new tasks may be started from it."""
        return bool(self.shown["status"] == "ACTIVE")


@dataclass(frozen=True)
class Launch:
    """What a client token stands for."""

    request: dict[str, Any] = field(repr=False)
    tasks: list[Task]
    time: float


@dataclass
class Region:
    """All of a region but its tasks."""

    name: str
    clusters: dict[str, Cluster] = field(default_factory=dict)
    families: dict[str, list[Definition]] = field(default_factory=dict)
    """A family's revisions in order, from 1."""
    launches: dict[tuple[str, str], Launch] = field(default_factory=dict)
    """By cluster and client token."""
    subnets: list[str] = field(default_factory=list)
    security_groups: dict[str, str] = field(default_factory=dict)
    """The names of groups by id."""
    open_groups: set[str] = field(default_factory=set)
    """Those that let everybody in; the others let nobody."""

    def cluster(self, identifier: str | None) -> Cluster:
        """Return the active cluster of this name or ARN; `default` for none.

        Raises:
            ApiError: there is none (ClusterNotFoundException) or it is deleted.
        """
        cluster = self.find_cluster(identifier)
        if cluster is None:
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        if not cluster.active:
            raise client_error("The referenced cluster was inactive.")
        return cluster

    def find_cluster(self, identifier: str | None) -> Cluster | None:
        """Return the cluster of this name or ARN, deleted ones included."""
        name = identifier or "default"
        return self.clusters.get(resource_of(name, self.name, "cluster") or name)

    def find_definition(self, identifier: str) -> Definition | None:
        """Return a revision by ARN or `family:revision`, or a family's latest active one."""
        name = resource_of(identifier, self.name, "task-definition") or identifier
        family, _, revision = name.partition(":")
        revisions = self.families.get(family, [])
        if not revision:
            return next((one for one in reversed(revisions) if one.active), None)
        return next((one for one in revisions if str(one.shown["revision"]) == revision), None)


@dataclass
class World:
    """Everything that operations work on."""

    faults: Faults
    limits: Limits
    fleet: Fleet
    logs: LogStreams
    furnish: Callable[[Region], None]
    """Puts into a new region what every region has from the start."""
    regions: dict[str, Region] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    """All tasks ever started, by id."""

    def region(self, name: str) -> Region:
        """Return a region; all of them exist."""
        if name not in self.regions:
            region = Region(name)
            self.furnish(region)
            self.regions[name] = region
        return self.regions[name]

    def find_task(self, cluster: Cluster, identifier: str) -> Task | None:
        """Return the task of this id or ARN if it is in the cluster."""
        task = self.tasks.get(identifier.rsplit("/", 1)[-1])
        if task is None or (task.region, task.cluster) != (cluster.region, cluster.name):
            return None
        return task if identifier in {task.task_id, task.arn} else None
