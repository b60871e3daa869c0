"""The IAM rights that the driver needs, by calls that change nothing.

What is called, and why it has no effect, is documented in docs/doctor.md.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.access import NO_TASK, Access
from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.ecs import container_log, denials, launch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

_NO_REVISION = 2147483647
_NO_SUBNET = "subnet-00000000000000000"
_REASON = "fargate doctor tries the right to stop tasks"
_NOBODY = "fargate-doctor"
_BESIDE = {"iam:PassRole", "ecs:TagResource"}
_ONLY_A_TASK = "it can't be tried without starting a task: --run tells"
_NO_INTERFACE = "eni-00000000000000000"


def look(
    aws: Aws, config: Settings, access: Access, *described: dict[str, Any] | CallError
) -> Iterator[Finding]:
    """Try each right that the settings need.

    Args:
        aws: For the calls.
        config: The settings.
        access: Who calls, and how DescribeTasks went.
        described: The task definitions that the settings name, as `definition.describe` returned
            them.
    """
    roles = _roles(config, described)
    refusals: dict[str, CallError] = {}
    for action, error in _tried(aws, config, access):
        # Who starts a task needs rights beside that one: IAM says which is missing.
        lacking = (error.denied and _denial(error).action) if error else None
        if error and lacking and lacking != action and lacking in _BESIDE:
            refusals.setdefault(lacking, error)
            yield unchecked(action, f"{lacking} is missing, which IAM looked at first")
        else:
            yield _judge(action, error)
    if "iam:PassRole" in refusals:
        yield _judge("iam:PassRole", refusals["iam:PassRole"])
    elif roles is not None and not roles:
        yield ok("iam:PassRole", "not needed: there is no role to pass")
    else:
        yield unchecked("iam:PassRole", _ONLY_A_TASK)
    if "ecs:TagResource" in refusals:
        yield _judge("ecs:TagResource", refusals["ecs:TagResource"])
    elif config.fargate.tags or config.fargate.propagate_tags:
        yield unchecked("ecs:TagResource", _ONLY_A_TASK)
    yield from _optional(aws, config, described)


def _tried(aws: Aws, config: Settings, access: Access) -> Iterator[tuple[str, CallError | None]]:
    """Each action that can be tried, and how that went."""
    cluster = config.fargate.cluster
    yield "ecs:RunTask", _run_task(aws, config)
    yield "ecs:DescribeTasks", access.tasks
    action = "ecs:StopTask"
    yield action, _refusal(aws, action, cluster=cluster, task=NO_TASK, reason=_REASON)
    if config.fargate.connects_to_public_ip:
        action = "ec2:DescribeNetworkInterfaces"
        yield action, _refusal(aws, action, NetworkInterfaceIds=[_NO_INTERFACE], DryRun=True)
    if config.images.enabled:
        action = "ecs:DescribeTaskDefinition"
        yield action, _refusal(aws, action, taskDefinition=_no_revision(config))
        # ECS wants one container at least.
        action = "ecs:RegisterTaskDefinition"
        family = f"{config.images.family}-doctor"
        images = config.images
        given = {"executionRoleArn": images.execution_role, "taskRoleArn": images.task_role}
        passed = {key: role for key, role in given.items() if role}
        yield action, _refusal(aws, action, family=family, containerDefinitions=[], **passed)


def _optional(
    aws: Aws, config: Settings, described: tuple[dict[str, Any] | CallError, ...]
) -> Iterator[Finding]:
    """The rights that jobs do without."""
    action = "ecs:ListTasks"
    error = _refusal(aws, action, cluster=config.fargate.cluster, startedBy=_NOBODY)
    yield _judge_optional(action, error, "`fargate reap` can't find tasks whose record was lost")
    log = _log(config, described)
    if log:
        action = "logs:GetLogEvents"
        place = {"logGroupName": log.group, "logStreamName": log.name}
        error = _refusal(aws, action, region=log.region, limit=1, **place)
        yield _judge_optional(action, error, "`fargate logs` and logs of services can't be shown")


def _log(
    config: Settings, described: tuple[dict[str, Any] | CallError, ...]
) -> container_log.Stream | None:
    """A log of a task that can't exist; None where tasks have none that can be read."""
    for one in described:
        if one and not isinstance(one, CallError):
            for container in one["containerDefinitions"]:
                with suppress(container_log.NoLogError):
                    return container_log.stream(
                        one, container["name"], NO_TASK, config.fargate.region
                    )
    return None


def _judge_optional(action: str, error: CallError | None, without: str) -> Finding:
    if error and error.denied:
        return unchecked(action, f"not allowed: {without}")
    return _judge(action, error)


def _refusal(aws: Aws, action: str, **parameters: Any) -> CallError | None:
    try:
        aws.call(action, **parameters)
    except CallError as error:
        return error
    return None


def _judge(action: str, error: CallError | None) -> Finding:
    """A refusal for any other reason came after IAM had allowed the call."""
    if error is None or (error.code and not error.denied and not _fails(error)):
        return ok(action, "allowed")
    if not error.denied:
        return unchecked(action, str(error))
    denial = _denial(error)
    who = f" to {denial.principal}" if denial.principal else ""
    if denial.explicit:
        mend = f"{denial.explicit} forbids it{who}: an Allow elsewhere doesn't help"
    else:
        what = f" on {denial.resource}" if denial.resource else ""
        mend = f"allow {action}{what}{who}, as docs/iam.md shows"
    return wrong(action, f"not allowed: {error.message}", mend)


def _fails(error: CallError) -> bool:
    """Whether AWS could not, or did not want to, serve the call at all."""
    return error.credentials or error.code.startswith(
        ("Throttling", "ServerException", "InternalFailure", "ServiceUnavailable", "RequestLimit")
    )


def _denial(error: CallError) -> denials.Denial:
    return denials.read(error.message)


def _run_task(aws: Aws, config: Settings) -> CallError | None:
    """Call RunTask as prepare does, but for a revision that can't exist."""
    request = launch.request(
        config,
        "fargate-doctor",
        config.capacity[0] if config.capacity else None,
        definition=_no_revision(config),
    )
    error = _start_nothing(aws, request)
    named = config.fargate.task_definition
    if error and error.denied and ":" in named.rpartition("/")[2]:
        # The policy may allow the one revision that is named. ECS refuses an unknown subnet too.
        request["taskDefinition"] = named
        request["networkConfiguration"]["awsvpcConfiguration"]["subnets"] = [_NO_SUBNET]
        error = _start_nothing(aws, request)
    return error


def _start_nothing(aws: Aws, request: dict[str, Any]) -> CallError | None:
    request = {**request, "clientToken": f"fargate-doctor-{request['clientToken']}"[:64]}
    try:
        answer = aws.call("ecs:RunTask", **request)
    except CallError as error:
        return error
    # Not AWS, which knows what exists; whatever it is, nothing is left running on it.
    for task in answer["tasks"]:
        aws.call("ecs:StopTask", cluster=request["cluster"], task=task["taskArn"], reason=_REASON)
    return None


def _no_revision(config: Settings) -> str:
    """A revision that can't exist, of the family that policies are about."""
    path, slash, revision = config.fargate.task_definition.rpartition("/")
    family = revision.partition(":")[0] or f"{config.images.family}-doctor"
    return f"{path}{slash}{family}:{_NO_REVISION}"


def _roles(config: Settings, described: tuple[dict[str, Any] | CallError, ...]) -> set[str] | None:
    """The roles that tasks get; None where they aren't known."""
    known = any(described) or config.images.enabled
    if not known or any(isinstance(one, CallError) for one in described):
        return None
    read = [one for one in described if not isinstance(one, CallError)]
    roles = {one.get(key) for one in read for key in ("executionRoleArn", "taskRoleArn")}
    roles |= {config.images.execution_role, config.images.task_role}
    return {role for role in roles if role}
