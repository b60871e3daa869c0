"""The IAM rights that the driver needs, by calls that change nothing.

What is called, and why it has no effect, is documented in docs/doctor.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.access import NO_TASK, Access
from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.ecs import denials, launch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

_NO_REVISION = 2147483647
_NO_SUBNET = "subnet-00000000000000000"
_REASON = "fargate doctor tries the right to stop tasks"
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
    launched = _run_task(aws, config)
    passing = _denial(launched) if launched else None
    about_role = passing is not None and passing.action == "iam:PassRole"
    yield _judge("ecs:RunTask", None if about_role else launched)
    yield _judge("ecs:DescribeTasks", access.tasks)
    stopping = _refusal(
        aws, "ecs:StopTask", cluster=config.fargate.cluster, task=NO_TASK, reason=_REASON
    )
    yield _judge("ecs:StopTask", stopping)
    if about_role and launched:
        yield _judge("iam:PassRole", launched)
    else:
        yield _pass_role(aws, config, access, described)
    if config.fargate.connects_to_public_ip:
        action = "ec2:DescribeNetworkInterfaces"
        interfaces = [_NO_INTERFACE]
        yield _judge(action, _refusal(aws, action, NetworkInterfaceIds=interfaces, DryRun=True))
    if config.images.enabled:
        reading = _refusal(aws, "ecs:DescribeTaskDefinition", taskDefinition=_no_revision(config))
        yield _judge("ecs:DescribeTaskDefinition", reading)
        # ECS wants one container at least.
        family = f"{config.images.family}-doctor"
        action = "ecs:RegisterTaskDefinition"
        yield _judge(action, _refusal(aws, action, family=family, containerDefinitions=[]))
    if config.fargate.tags or config.fargate.propagate_tags:
        yield unchecked("ecs:TagResource", "it can't be tried without starting a task: use --run")


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
        mend = f"allow {action}{who}, as docs/doctor.md shows"
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


def _pass_role(
    aws: Aws, config: Settings, access: Access, described: tuple[dict[str, Any] | CallError, ...]
) -> Finding:
    """Ask IAM, where that is allowed: there is no call that only tries it."""
    action = "iam:PassRole"
    roles = {config.images.execution_role, config.images.task_role} - {None}
    read = [one for one in described if not isinstance(one, CallError)]
    roles |= {one.get(key) for one in read for key in ("executionRoleArn", "taskRoleArn")} - {None}
    if not roles and len(read) == len(described) and any(read):
        return ok(action, "not needed: there is no role to pass")
    caller = _iam_arn(access.identity)
    if not roles or not caller:
        return unchecked(action, "it can't be tried without starting a task: use --run")
    try:
        answer = aws.call(
            "iam:SimulatePrincipalPolicy",
            PolicySourceArn=caller,
            ActionNames=[action],
            ResourceArns=sorted(str(role) for role in roles),
            ContextEntries=[
                {
                    "ContextKeyName": "iam:PassedToService",
                    "ContextKeyValues": ["ecs-tasks.amazonaws.com"],
                    "ContextKeyType": "string",
                }
            ],
        )
    except CallError as error:
        why = f"it can't be tried without starting a task (use --run), and {error.why}"
        return unchecked(action, why)
    denied = [
        str(result.get("EvalResourceName"))
        for result in answer["EvaluationResults"]
        if result["EvalDecision"] != "allowed"
    ]
    if denied:
        mend = f"allow {action} on {', '.join(denied)} to {caller}"
        return wrong(action, f"IAM says it isn't allowed for {', '.join(denied)}", mend)
    return ok(action, "allowed, as IAM simulates it")


def _iam_arn(identity: str) -> str:
    """The user or role behind the ARN that STS tells; "" where it can't be told.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html.
    """
    head, slash, rest = identity.partition(":assumed-role/")
    if not slash:
        return identity if ":user/" in identity else ""
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"
