"""RunTask: everything that ECS checks before it starts a task.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html and
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from fargate_driver.local import fargate_checks, sizes, tags
from fargate_driver.local.api_errors import ApiError, client_error, invalid_parameter
from fargate_driver.local.arns import task_id
from fargate_driver.local.clusters import check_strategy
from fargate_driver.local.container import new_container
from fargate_driver.local.task import PLATFORM_VERSION, Task, new_interface
from fargate_driver.local.unavailable import machine_architecture
from fargate_driver.local.world import Launch

if TYPE_CHECKING:
    from fargate_driver.local.world import Cluster, Definition, Region, World

_LONGEST_OVERRIDES = 8192  # characters, JSON formatting included
_MOST_TASKS = 10  # of one call
_TOKEN = re.compile(r"[!-~]{1,64}")
_TOKEN_LIFE = 24 * 3600  # seconds
_STARTED_BY = re.compile(r"[A-Za-z0-9/_-]{0,128}")
_SUBNET = re.compile(r"subnet-[0-9a-z]+")
_SECURITY_GROUP = re.compile(r"sg-[0-9a-z]+")
_EPHEMERAL_GIB = 20  # what a task has unless it asks for more


def run_task(world: World, region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """RunTask: starts the tasks, or returns those that the same client token started before."""
    cluster = region.cluster(request.get("cluster"))
    token = request.get("clientToken")
    asked = {name: value for name, value in request.items() if name != "clientToken"}
    if token is not None:
        if not _TOKEN.fullmatch(token):
            raise invalid_parameter("The client token must have 1 to 64 visible ASCII characters.")
        earlier = _earlier_launch(region, cluster, token, asked)
        if earlier:
            return _answer(earlier)
    definition = _definition(region, request["taskDefinition"])
    providers = _providers(cluster, request)
    _check(request, definition)
    for provider, number in Counter(one or "FARGATE" for one in providers).items():
        world.limits.take(region.name, f"launch {provider}", number)
    tasks = [_task(cluster, definition, request, provider) for provider in providers]
    if token is not None:
        region.launches[cluster.name, token] = Launch(asked, tasks, time.time())
    for task in tasks:
        world.tasks[task.task_id] = task
        world.fleet.launch(task, world.faults.for_task(task.placed_on, task.containers))
    return _answer(tasks)


def wanted_providers(region: Region, request: dict[str, Any]) -> set[str]:
    """Return the capacity providers that a request would use; none for a wrong request."""
    try:
        cluster = region.cluster(request.get("cluster"))
        return {provider or "FARGATE" for provider in _providers(cluster, request)}
    except ApiError:
        return set()


def _earlier_launch(
    region: Region, cluster: Cluster, token: str, asked: dict[str, Any]
) -> list[Task] | None:
    earlier = region.launches.get((cluster.name, token))
    if earlier is None or time.time() - earlier.time > _TOKEN_LIFE:
        return None
    if earlier.request != asked:
        raise ApiError(
            "ConflictException",
            "The client token was used before with other parameters.",
            details={"resourceIds": [task.arn for task in earlier.tasks]},
        )
    return earlier.tasks


def _answer(tasks: list[Task]) -> dict[str, Any]:
    return {"tasks": [task.describe(tags=True) for task in tasks], "failures": []}


def _definition(region: Region, identifier: str) -> Definition:
    definition = region.find_definition(identifier)
    if definition is None:
        raise client_error("TaskDefinition not found.")
    if not definition.active:
        raise client_error("TaskDefinition is inactive")
    return definition


def _providers(cluster: Cluster, request: dict[str, Any]) -> list[str | None]:
    """Return the capacity provider of each task; None where a launch type was asked for."""
    count = request.get("count", 1)
    if not 1 <= count <= _MOST_TASKS:
        raise invalid_parameter("Count must be between 1 and 10.")
    launch_type = request.get("launchType")
    strategy = request.get("capacityProviderStrategy", [])
    if launch_type and strategy:
        raise invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again."
        )
    if launch_type == "FARGATE":
        return [None] * count
    strategy = strategy or cluster.default_strategy
    if launch_type or not strategy:
        raise invalid_parameter("No Container Instances were found in your cluster.")
    check_strategy(strategy, cluster.providers)
    return list(_spread(strategy, count))


def _spread(strategy: list[dict[str, Any]], count: int) -> list[str]:
    """Return a provider per task: the base first, the rest by weight."""
    chosen: list[str] = []
    for item in strategy:
        chosen += [item["capacityProvider"]] * item.get("base", 0)
    chosen = chosen[:count]
    weights = {item["capacityProvider"]: item.get("weight", 0) for item in strategy}
    placed = dict.fromkeys(weights, 0)
    while len(chosen) < count:
        # The provider that is furthest behind its share: d'Hondt's method.
        best = max(weights, key=lambda name: weights[name] / (placed[name] + 1))
        placed[best] += 1
        chosen.append(best)
    return chosen


def _check(request: dict[str, Any], definition: Definition) -> None:
    if "FARGATE" not in definition.shown["compatibilities"]:
        raise invalid_parameter("Task definition does not support launch_type FARGATE.")
    if request.get("platformVersion", "LATEST") not in {"LATEST", PLATFORM_VERSION, "1.3.0"}:
        raise ApiError("PlatformUnknownException", "The specified platform does not exist.")
    system = definition.shown.get("runtimePlatform", {}).get("operatingSystemFamily", "LINUX")
    if system != "LINUX":
        raise ApiError(
            "UnsupportedFeatureException", f"The embedded Fargate runs on Linux, not {system}."
        )
    if not _STARTED_BY.fullmatch(request.get("startedBy", "")):
        raise invalid_parameter(
            "startedBy can have up to 128 letters, digits, hyphens, slashes and underscores."
        )
    _check_network(request.get("networkConfiguration", {}).get("awsvpcConfiguration"))
    containers = definition.shown["containerDefinitions"]
    _check_overrides(request.get("overrides", {}), {one["name"] for one in containers})


def _check_network(network: dict[str, Any] | None) -> None:
    if network is None:
        raise invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    subnets, groups = network["subnets"], network.get("securityGroups", [])
    if not subnets:
        raise invalid_parameter("subnets can not be empty.")
    if len(subnets) > 16:
        raise invalid_parameter("subnets can have at most 16 items.")
    if len(groups) > 5:
        raise invalid_parameter("securityGroups can have at most 5 items.")
    for subnet in subnets:
        if not _SUBNET.fullmatch(subnet):
            raise invalid_parameter(
                f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' "
                "does not exist (ErrorCode: InvalidSubnetID.NotFound)"
            )
    for group in groups:
        if not _SECURITY_GROUP.fullmatch(group):
            raise invalid_parameter(
                f"Error retrieving security group information for [{group}]: The security group "
                f"'{group}' does not exist (ErrorCode: InvalidGroup.NotFound)"
            )


def _check_overrides(overrides: dict[str, Any], names: set[str]) -> None:
    length = len(json.dumps(overrides, ensure_ascii=False, separators=(",", ":")))
    if length > _LONGEST_OVERRIDES:
        raise invalid_parameter(f"Container Overrides length must be at most {_LONGEST_OVERRIDES}")
    for override in overrides.get("containerOverrides", []):
        if override.get("name") not in names:
            raise invalid_parameter(
                f"Override for container named {override.get('name')} is not a container in the "
                "TaskDefinition."
            )
        for variable in override.get("environment", []):
            if not variable.get("name"):
                raise invalid_parameter("Environment variable names should not be null or empty.")
        if override.get("environmentFiles"):
            raise ApiError(
                "UnsupportedFeatureException",
                "The embedded Fargate has no S3: give the variables themselves.",
            )


def _task(
    cluster: Cluster, definition: Definition, request: dict[str, Any], provider: str | None
) -> Task:
    overrides = request.get("overrides", {})
    cpu = sizes.cpu_units(overrides.get("cpu", definition.shown["cpu"]))
    memory = sizes.memory_mib(overrides.get("memory", definition.shown["memory"]))
    sizes.check_size(cpu, memory)
    identifier = task_id()
    containers = [
        new_container(cluster.region, cluster.name, identifier, one, overrides)
        for one in definition.shown["containerDefinitions"]
    ]
    fargate_checks.check_shares((one.definition for one in containers), cpu, memory)
    fargate_checks.check_storage(overrides.get("ephemeralStorage"))
    network = request["networkConfiguration"]["awsvpcConfiguration"]
    storage = overrides.get("ephemeralStorage") or definition.shown.get("ephemeralStorage", {})
    given = tags.from_list(request.get("tags", []))
    if request.get("propagateTags") == "TASK_DEFINITION":
        given = definition.tags | given
    if request.get("enableECSManagedTags"):
        given["aws:ecs:clusterName"] = cluster.name
    task = Task(
        task_id=identifier,
        region=cluster.region,
        cluster=cluster.name,
        definition_arn=definition.arn,
        cpu=cpu,
        memory=memory,
        launch_type="FARGATE",
        provider=provider,
        interface=new_interface(
            network["subnets"][0],
            network.get("securityGroups", []),
            public=network.get("assignPublicIp") == "ENABLED",
        ),
        containers=containers,
        volumes=definition.shown["volumes"],
        architecture=definition.shown.get("runtimePlatform", {}).get(
            "cpuArchitecture", machine_architecture()
        ),
        role=overrides.get("taskRoleArn") or definition.shown.get("taskRoleArn"),
        overrides=overrides,
        family=definition.shown["family"],
        group=request.get("group") or f"family:{definition.shown['family']}",
        started_by=request.get("startedBy"),
        tags=given,
        execute_command=request.get("enableExecuteCommand", False),
        ephemeral_gib=storage.get("sizeInGiB", _EPHEMERAL_GIB),
    )
    task.mark("createdAt")
    return task
