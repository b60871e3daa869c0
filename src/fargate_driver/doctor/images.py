"""Image mode: what the task definitions that the driver derives stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.doctor import definition
from fargate_driver.doctor.aws import CallError
from fargate_driver.doctor.finding import Finding, Status, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings


def look(base: dict[str, Any] | CallError, config: Settings) -> Iterator[Finding]:
    """Check the settings of `[Images]`.

    Args:
        base: BaseTaskDefinition, as `definition.describe` returned it; empty for none.
        config: The settings.
    """
    images = config.images
    if not images.enabled:
        return
    yield ok("helper-image", str(images.helper_image))
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
    elif ".dkr.ecr." in str(images.helper_image) or images.registry_credentials:
        yield wrong(
            "execution-role",
            "there is none, and HelperImage in ECR or RegistryCredentials need one",
            "set [Images] ExecutionRole to a role with AmazonECSTaskExecutionRolePolicy",
        )


def _architecture(base: dict[str, Any], config: Settings) -> Iterator[Finding]:
    given = base.get("runtimePlatform", {}).get("cpuArchitecture")
    wanted = config.images.architecture
    if given and wanted and given != wanted:
        yield wrong(
            "architecture",
            f"[Images] Architecture is {wanted}, and BaseTaskDefinition is for {given}: its further"
            " containers would not start",
            f'set Architecture = "{given}", or name another BaseTaskDefinition',
        )
