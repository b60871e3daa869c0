"""Deriving a task definition from what a job asks for.

The request holds nothing of a single job, so that all jobs with the same image and services share
one definition. Its family is named by its hash: what ECS makes of it, with defaults filled in and
parts reordered, is never compared. Source of the fields:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from fargate_driver.ecs import reference
from fargate_driver.ecs.container_size import NoRoomError
from fargate_driver.ecs.patterns import matches
from fargate_driver.errors import DriverError, JobConfigurationError

if TYPE_CHECKING:
    from fargate_driver.ecs.base_definition import Base
    from fargate_driver.gitlab.images import JobImages
    from fargate_driver.gitlab.services import Service
    from fargate_driver.settings import Settings

INJECTOR_CONTAINER = "injector"
HELPER_CONTAINER = "helper"
"""Fetches sources, and keeps caches and artifacts."""
TOOLS = "/opt/fargate"
"""Where the driver's tools are, in the helper's image and in the job's container."""
_INJECTED = "/mnt/fargate"
_TOOLS_VOLUME, _BUILDS_VOLUME, _CACHE_VOLUME = "fargate-tools", "fargate-builds", "fargate-cache"
_DEFAULT_CPU, _DEFAULT_MEMORY = 1024, 2048
"""CPU units and MiB of a job that nobody said anything about."""
_STOP_TIMEOUT = 120
"""Seconds from SIGTERM to SIGKILL, the most that Fargate gives: when Spot capacity is taken back, a
running stage may use them (the tools' init goes on for as long as one runs)."""
_FORM = 2
"""To be raised when a base task definition is merged in another way than before."""
_MOST_CONTAINERS = 10
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""


def derive(
    config: Settings, images: JobImages, architecture: str | None, base: Base | None
) -> dict[str, Any]:
    """Make the parameters of RegisterTaskDefinition.

    Args:
        config: The settings.
        images: What the job runs in.
        architecture: What the job chose, X86_64 or ARM64; None for nothing.
        base: The task definition that `[Images] BaseTaskDefinition` names, or None.

    Raises:
        JobConfigurationError: The job has too many services.
        DriverError: The base takes names that the driver needs, or its other containers need all of
            the task.
    """
    request = _task(config, architecture, base)
    name = config.fargate.container_name
    template, others = {}, []
    if base:
        try:
            template = base.job_container(name, int(request["cpu"]), int(request["memory"]))
        except NoRoomError as error:
            raise DriverError(
                f"[Images] CPU and Memory: too little for BaseTaskDefinition"
                f" {config.images.base_task_definition}: {error}"
            ) from error
        others = base.others(name)
    containers = [
        *_own(config, images, template),
        *(_service(config, service, template) for service in images.services),
    ]
    names = {container["name"] for container in containers}
    for other in others:
        if other["name"] in names:
            raise _taken(config, f"a container named {other['name']}")
    containers += others
    if len(containers) > _MOST_CONTAINERS:
        room = _MOST_CONTAINERS - len(containers) + len(images.services)
        raise JobConfigurationError(
            f"services: {len(images.services)} of them are too many; a Fargate task has"
            f" {_MOST_CONTAINERS} containers at most, which leaves room for {room} services"
        )
    request["containerDefinitions"] = containers
    identity = json.dumps([_FORM, base.arn if base else None, request], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:20]
    return {"family": f"{config.images.family}-{digest}", **request}


def usual_architecture(config: Settings, base: Base | None) -> str:
    """The processors of jobs that ask for none, X86_64 or ARM64.

    Args:
        config: The settings.
        base: As for `derive`.
    """
    of_base = base.content.get("runtimePlatform", {}).get("cpuArchitecture") if base else None
    return config.images.architecture or of_base or "X86_64"


def _task(config: Settings, architecture: str | None, base: Base | None) -> dict[str, Any]:
    """All but the containers."""
    images = config.images
    request: dict[str, Any] = base.task() if base else {}
    request |= {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
    for name, value, default in (
        ("cpu", images.cpu, _DEFAULT_CPU),
        ("memory", images.memory, _DEFAULT_MEMORY),
    ):
        if value or name not in request:
            request[name] = str(value or default)
    for name, role in (
        ("executionRoleArn", images.execution_role),
        ("taskRoleArn", images.task_role),
    ):
        if role:
            request[name] = role
    if images.ephemeral_storage:
        request["ephemeralStorage"] = {"sizeInGiB": images.ephemeral_storage}
    request["runtimePlatform"] = {
        "operatingSystemFamily": "LINUX",
        **request.get("runtimePlatform", {}),
        "cpuArchitecture": architecture or usual_architecture(config, base),
    }
    volumes = base.content.get("volumes", []) if base else []
    for volume in (_TOOLS_VOLUME, _BUILDS_VOLUME, _CACHE_VOLUME):
        if any(other.get("name") == volume for other in volumes):
            raise _taken(config, f"a volume named {volume}")
        request.setdefault("volumes", []).append({"name": volume})
    request["volumes"] += volumes
    return request


def _own(config: Settings, images: JobImages, template: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers without which there is no job."""
    settings = config.images
    helper_image = str(config.helper_image)
    name = config.fargate.container_name
    if name in (INJECTOR_CONTAINER, HELPER_CONTAINER):
        raise DriverError(
            f"[Fargate] ContainerName: {name} is the driver's own container where [Images] is"
            " enabled; give the job's another name"
        )
    for folder in (config.builds_dir, config.cache_dir):
        if any(f"{folder}/".startswith(f"{taken}/") for taken in (TOOLS, _INJECTED)):
            raise DriverError(
                f"[Fargate] BuildsDir and CacheDir: {folder} is where the driver's own tools are in"
                " tasks of [Images]; choose another folder"
            )
    shared = _mounts(config, template)
    own = [mount for mount in template.get("mountPoints", ()) if mount not in shared]
    hosts = ",".join(alias for service in images.services for alias in service.aliases)
    # A volume of the base's is the operator's, who says what may be written to it.
    ours = [mount for mount in shared if mount["sourceVolume"] in (_BUILDS_VOLUME, _CACHE_VOLUME)]
    tools_for_all = {"sourceVolume": _TOOLS_VOLUME, "containerPath": _INJECTED, "readOnly": False}
    tools = {"sourceVolume": _TOOLS_VOLUME, "containerPath": TOOLS, "readOnly": True}
    ready = {"containerName": INJECTOR_CONTAINER, "condition": "SUCCESS"}

    def init(port: int, *more: str) -> dict[str, list[str]]:
        names = ["--hosts", hosts] if hosts else []
        # Never empty: then ECS might leave the image's own command in place.
        return {
            "entryPoint": [f"{TOOLS}/init"],
            "command": ["--port", str(port), *more, *names],
        }

    user = images.image.user or ("0" if settings.run_as == "root" else None)
    return [
        {
            **_container(config, INJECTOR_CONTAINER, helper_image, template),
            "essential": False,
            "entryPoint": [f"{TOOLS}/inject"],
            "command": [_INJECTED, *(str(mount["containerPath"]) for mount in ours)],
            "user": "0",
            "mountPoints": [tools_for_all, *ours],
        },
        {
            "stopTimeout": _STOP_TIMEOUT,
            **template,
            **_container(config, name, images.image.name, template),
            "essential": True,
            **init(settings.ssh_port),
            **({"user": user} if user else {}),
            "mountPoints": [tools, *shared, *own],
            "dependsOn": [ready, *template.get("dependsOn", [])],
        },
        {
            **_container(config, HELPER_CONTAINER, helper_image, template),
            "essential": True,
            "stopTimeout": _STOP_TIMEOUT,
            # As in GitLab's own helper: sources and the like are for the user of the job's image.
            **init(settings.helper_ssh_port, "--umask", "0"),
            "user": "0",
            "mountPoints": shared,
            "dependsOn": [ready],
        },
    ]


def _service(config: Settings, service: Service, template: dict[str, Any]) -> dict[str, Any]:
    container = {
        **_container(config, service.container, service.name, template),
        "essential": False,
        # As on GitLab's Docker executor.
        "mountPoints": _mounts(config, template),
        "dependsOn": [{"containerName": INJECTOR_CONTAINER, "condition": "SUCCESS"}],
    }
    if service.entrypoint:
        container["entryPoint"] = list(service.entrypoint)
    if service.command and not service.secret_command:
        container["command"] = list(service.command)
    if service.user:
        container["user"] = service.user
    return container


def _container(config: Settings, name: str, image: str, template: dict[str, Any]) -> dict[str, Any]:
    """What is the same for every container of ours."""
    container: dict[str, Any] = {"name": name, "image": image}
    if "logConfiguration" in template:
        container["logConfiguration"] = template["logConfiguration"]
    secret = _credentials(config.images.registry_credentials, image)
    if secret:
        container["repositoryCredentials"] = {"credentialsParameter": secret}
    return container


def _mounts(config: Settings, template: dict[str, Any]) -> list[dict[str, Any]]:
    """The folders that all containers share; on a volume of the base's own, such as EFS."""
    places = ((_BUILDS_VOLUME, config.builds_dir), (_CACHE_VOLUME, config.cache_dir))
    given = {_place(mount): mount for mount in template.get("mountPoints", ())}
    return [
        given.get(str(path)) or {"sourceVolume": volume, "containerPath": path, "readOnly": False}
        for volume, path in places
    ]


def _place(mount: dict[str, Any]) -> str:
    return str(mount.get("containerPath")).rstrip("/")


def _credentials(secrets: dict[str, str], image: str) -> str | None:
    """The secret to pull an image with: that of the longest pattern, which is the closest."""
    parts = reference.parse(image)
    fitting = [
        pattern
        for pattern in secrets
        if matches(pattern, parts.registry) or matches(pattern, parts.repository)
    ]
    return secrets[max(fitting, key=len)] if fitting else None


def _taken(config: Settings, what: str) -> DriverError:
    return DriverError(
        f"[Images] BaseTaskDefinition: {config.images.base_task_definition} has {what}, which the"
        " driver needs for itself; give it another name"
    )
