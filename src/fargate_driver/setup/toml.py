"""fargate.toml, and the `[[runners]]` block of gitlab-runner's config.toml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fargate_driver.setup.plan import Plan

_GRACE = 240
"""Seconds from SIGTERM to SIGKILL at a cancel: gitlab-runner calls cleanup after 300 s at most
(WaitForBuildFinishTimeout in gitlab-runner's common/build.go)."""
_PREPARE = 900
"""Seconds for prepare, more than StartTimeout's default of 600."""


def fargate_toml(plan: Plan, security_group: str | None = None) -> str:
    """The driver's configuration.

    Args:
        plan: What is set up.
        security_group: That of tasks where a template makes it: an expression of the template.
    """
    groups = [security_group] if security_group else list(plan.security_groups)
    lines = [
        "# The driver's configuration, by `fargate init`. Every key: docs/configuration.md.",
        "",
        "[Fargate]",
        _line("Cluster", plan.cluster),
        _line("Region", plan.region),
        _line("Subnet", list(plan.subnets)),
        _line("SecurityGroup", groups)
        if groups
        else 'SecurityGroup = ""  # the output TasksSecurityGroup of what was deployed',
        _line("BuildsDir", plan.builds_dir),
        _line("CacheDir", plan.cache_dir),
    ]
    if plan.task_definition and not plan.images:
        lines.append(_line("TaskDefinition", plan.task_definition))
    if plan.public_ip != "none":
        lines.append(_line("EnablePublicIP", value=True))
        lines.append(_line("UsePublicIP", value=plan.public_ip == "ssh"))
    if plan.endpoint_url:
        lines.append(_line("EndpointURL", plan.endpoint_url))
    if plan.tags:
        lines += ["", "[Fargate.Tags]"]
        lines += [f"{json.dumps(key)} = {json.dumps(text)}" for key, text in plan.tags.items()]
    if plan.spot:
        for provider in ("FARGATE_SPOT", "FARGATE"):
            lines += ["", "[[Capacity]]", _line("Provider", provider)]
    lines += ["", "[TaskMetadata]", _line("Directory", plan.records)]
    if plan.manager in ("ec2", "fargate"):
        # One that takes the place of another finds the other's tasks by it (`fargate reap`).
        lines.append(_line("Manager", plan.cluster))
    lines += ["", "[SSH]", _line("Username", plan.ssh_user), _line("Port", plan.ssh_port)]
    if plan.images:
        lines += ["", "[Images]", *_images(plan)]
    return "\n".join(lines) + "\n"


def _images(plan: Plan) -> list[str]:
    values: dict[str, str | bool | None] = {
        "Enabled": True,
        "Family": plan.derived_family,
        "HelperImage": plan.helper_image,
        "DefaultImage": plan.job_image,
        "BaseTaskDefinition": plan.task_definition,
        "ExecutionRole": plan.execution_role_arn,
        "TaskRole": plan.task_role,
    }
    return [_line(key, value) for key, value in values.items() if value]


def runner_config(plan: Plan, token: str = "PUT-THE-TOKEN-HERE") -> str:  # noqa: S107 - a placeholder, not a password
    """The `[[runners]]` block.

    Args:
        plan: What is set up.
        token: The runner's authentication token, or an expression for it.
    """
    lines = [
        # No backquotes: a manager's script has it where a shell reads it.
        "# For gitlab-runner's config.toml, by fargate init; the token is the runner's, glrt-…",
        "[[runners]]",
        _line("name", plan.name, indent=2),
        _line("url", plan.gitlab_url, indent=2),
        _line("token", token, indent=2),
        _line("limit", plan.limit, indent=2),
        _line("executor", "custom", indent=2),
        _line("builds_dir", plan.builds_dir, indent=2),
        _line("cache_dir", plan.cache_dir, indent=2),
        "  [runners.custom]",
    ]
    for stage in ("config", "prepare", "run", "cleanup"):
        lines.append(_line(f"{stage}_exec", plan.program, indent=4))
        words = ["--config", plan.config_path, "custom", stage]
        lines.append(_line(f"{stage}_args", words, indent=4))
    lines.append(_line("prepare_exec_timeout", _PREPARE, indent=4))
    lines.append(_line("graceful_kill_timeout", _GRACE, indent=4))
    return "\n".join(lines) + "\n"


def _line(key: str, value: str | int | bool | list[str] | None, *, indent: int = 0) -> str:
    # The JSON of strings (without DEL), lists, numbers and booleans is TOML too.
    return f"{' ' * indent}{key} = {json.dumps(value, ensure_ascii=False)}"
