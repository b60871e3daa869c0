"""The task definition that derived ones are made from, and what of it they keep.

Source of what Fargate takes:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.ecs.container_size import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEPT = (
    "executionRoleArn",
    "taskRoleArn",
    "cpu",
    "memory",
    "ephemeralStorage",
    "runtimePlatform",
    "proxyConfiguration",
    "enableFaultInjection",
)
_ANSWERED = {
    *("family", "revision", "status", "taskDefinitionArn", "compatibilities"),
    *("requiresAttributes", "requiresCompatibilities", "networkMode", "deregisteredAt"),
    *("registeredAt", "registeredBy", "volumes", "containerDefinitions"),
}
"""What is kept elsewhere, or says nothing about how a task runs."""
_KEPT_OF_JOB_CONTAINER = (
    "cpu",
    "memory",
    "memoryReservation",
    "environment",
    "environmentFiles",
    "secrets",
    "mountPoints",
    "volumesFrom",
    "dependsOn",
    "linuxParameters",
    "ulimits",
    "logConfiguration",
    "systemControls",
    "dockerLabels",
    "startTimeout",
    "stopTimeout",
    "readonlyRootFilesystem",
)
_OF_ITS_IMAGE = {
    *("name", "image", "repositoryCredentials", "versionConsistency", "essential"),
    *("entryPoint", "command", "user", "workingDirectory", "portMappings", "healthCheck"),
}
"""What is about the image that it had: documented as not kept."""


class Base(NamedTuple):
    """The task definition to derive from.

    Attributes:
        arn: With its revision, which never changes.
        content: As DescribeTaskDefinition shows it.
        tags: Those that tasks can have, too; only where they are to be copied to tasks.
    """

    arn: str
    content: dict[str, Any]
    tags: dict[str, str]

    def task(self) -> dict[str, Any]:
        """What is kept of it for the whole task, volumes and containers apart."""
        return {name: self.content[name] for name in _KEPT if self.content.get(name)}

    def job_container(self, name: str, cpu: int, memory: int) -> dict[str, Any]:
        """What is kept of the job's container.

        Args:
            name: Its name.
            cpu: CPU units of the derived task.
            memory: MiB of the derived task.

        Raises:
            NoRoomError: The other containers need all of such a task.
        """
        for container in self._containers():
            if container.get("name") == name:
                kept = {k: container[k] for k in _KEPT_OF_JOB_CONTAINER if k in container}
                kept |= fitted(self.content, name, cpu, memory)
                if "linuxParameters" in kept:
                    # The driver's own init has to be the first process.
                    parameters = kept["linuxParameters"]
                    kept["linuxParameters"] = {**parameters, "initProcessEnabled": False}
                return kept
        return {}

    def others(self, name: str) -> list[dict[str, Any]]:
        """Its further containers, which are kept as they are.

        None waits for the job's container to be healthy any more, whose health check isn't kept.

        Args:
            name: The job's container.
        """
        found = []
        for container in self._containers():
            if container.get("name") != name:
                waits = [
                    {**one, "condition": "START"} if _awaits_health(one, name) else one
                    for one in container.get("dependsOn") or ()
                ]
                found.append({**container, "dependsOn": waits} if waits else container)
        return found

    def lost(self, name: str) -> str:
        """What is not kept although it may matter, for a warning; "" for nothing.

        Args:
            name: The job's container.
        """
        found = [key for key in sorted(self.content) if self._loses(key)]
        for container in self._containers():
            if container.get("name") == name:
                known = {*_KEPT_OF_JOB_CONTAINER, *_OF_ITS_IMAGE}
                found += [
                    f"{key} of {name}"
                    for key in sorted(container)
                    if key not in known and container[key]
                ]
            elif any(_awaits_health(one, name) for one in container.get("dependsOn") or ()):
                found.append(f"that {container.get('name')} waits for {name} to be healthy")
        return ", ".join(found)

    def _loses(self, key: str) -> bool:
        if key == "networkMode":
            return str(self.content[key]) != "awsvpc"
        return key not in _KEPT and key not in _ANSWERED and bool(self.content[key])

    def _containers(self) -> Iterator[dict[str, Any]]:
        yield from self.content.get("containerDefinitions", ())


def _awaits_health(dependency: Mapping[str, Any], name: str) -> bool:
    return dependency.get("containerName") == name and dependency.get("condition") == "HEALTHY"
