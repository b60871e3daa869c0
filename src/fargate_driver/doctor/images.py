"""Image mode: what the task definitions that the driver derives stand on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor import definition
from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.finding import Finding, Status, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings


_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.[a-z0-9.]+/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?"
)
"""Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html"""
_ABSENT = {"ImageNotFoundException", "RepositoryNotFoundException"}


def look(aws: Aws, base: dict[str, Any] | CallError, config: Settings) -> Iterator[Finding]:
    """Check the settings of `[Images]`.

    Args:
        aws: For the calls.
        base: BaseTaskDefinition, as `definition.describe` returned it; empty for none.
        config: The settings.
    """
    images = config.images
    if not images.enabled:
        return
    yield _helper(aws, str(config.helper_image))
    role = images.execution_role
    if base:
        name = images.base_task_definition or ""
        found = definition.exists(base, name, "[Images] BaseTaskDefinition")
        yield found
        if isinstance(base, CallError) or found.status is not Status.OK:
            if not role:
                yield unchecked("execution-role", "that of BaseTaskDefinition isn't known")
            return
        yield from _architecture(base, config)
        role = role or base.get("executionRoleArn")
    if role:
        yield ok("execution-role", role)
    elif _ECR.match(str(config.helper_image)) or images.registry_credentials:
        yield wrong(
            "execution-role",
            "no execution role, which HelperImage in ECR or RegistryCredentials needs",
            "set [Images] ExecutionRole to a role with AmazonECSTaskExecutionRolePolicy",
        )


def _helper(aws: Aws, image: str) -> Finding:
    """Whether the image is there, which only ECR can be asked."""
    check = "helper-image"
    place = _ECR.match(image)
    if not place:
        return ok(check, f"{image}; whether it can be pulled, --run tells")
    identity = {"imageDigest": place["digest"]} if place["digest"] else {}
    try:
        aws.call(
            "ecr:DescribeImages",
            region=place["region"],
            registryId=place["account"],
            repositoryName=place["repository"],
            imageIds=[identity or {"imageTag": place["tag"] or "latest"}],
        )
    except CallError as error:
        if error.code in _ABSENT:
            mend = "`fargate helper-image` says how to build and push it; see [Images] HelperImage"
            return wrong(check, f"ECR has no {image}: {error.message}", mend)
        return unchecked(check, f"{image}: {error.why}")
    return ok(check, f"{image} is in ECR")


def _architecture(base: dict[str, Any], config: Settings) -> Iterator[Finding]:
    given = base.get("runtimePlatform", {}).get("cpuArchitecture")
    wanted = config.images.architecture
    if given and wanted and given != wanted:
        yield wrong(
            "architecture",
            f"[Images] Architecture is {wanted}, and BaseTaskDefinition is for {given}: its further"
            " containers would not start",
            f'set [Images] Architecture = "{given}", or name another BaseTaskDefinition',
        )
