"""The IAM policy of the host that gitlab-runner runs on: no action and no resource too many.

Which action can be limited to which resource, and by which condition:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html.
cfn-lint brings the same in a form that tests/setup compares the policy with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Features(NamedTuple):
    """What of the driver is used, as far as it needs rights of its own.

    Attributes:
        public_addresses: It connects to the public addresses of tasks.
        tags: Tasks get tags.
        wide_reap: `fargate reap` looks for tasks whose record was lost.
        images: Jobs run in the images that they ask for.
        prune: `fargate images --prune` runs with this policy too.
        logs: `fargate logs` does so.
    """

    public_addresses: bool = False
    tags: bool = False
    wide_reap: bool = False
    images: bool = False
    prune: bool = False
    logs: bool = False


class Scope(NamedTuple):
    """What the policy is limited to. Each part may also be an expression of a template.

    Attributes:
        prefix: How ARNs of ECS begin: `arn:PARTITION:ecs:REGION:ACCOUNT`.
        cluster: The cluster's name.
        families: Families of task definitions that jobs run in; may end in `*`.
        roles: ARNs of the roles that tasks get.
        log_group: ARN of the log group that tasks write to, where it is read.
        derived: Families of derived task definitions; ends in `*`.
    """

    prefix: str
    cluster: str
    families: tuple[str, ...]
    roles: tuple[str, ...]
    log_group: str | None = None
    derived: str = ""


def policy(features: Features, scope: Scope) -> dict[str, Any]:
    """Make the policy document.

    Args:
        features: What is used.
        scope: What it is used on.

    Returns:
        A document as in
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
    """
    return {"Version": "2012-10-17", "Statement": list(_statements(features, scope))}


def actions(features: Features) -> list[str]:
    """The actions that the features need, in the order of the policy."""
    statements = _statements(features, Scope("", "", (), ("",)))
    return [action for statement in statements for action in statement["Action"]]


def _statements(features: Features, scope: Scope) -> Iterator[dict[str, Any]]:
    tasks = f"{scope.prefix}:task/{scope.cluster}/*"
    in_cluster = {"ArnEquals": {"ecs:cluster": f"{scope.prefix}:cluster/{scope.cluster}"}}
    definitions = [f"{scope.prefix}:task-definition/{family}:*" for family in scope.families]
    yield _allow("StartTasks", ["ecs:RunTask"], definitions, in_cluster)
    yield _allow("WatchAndStopTasks", ["ecs:DescribeTasks", "ecs:StopTask"], [tasks], in_cluster)
    if scope.roles:
        yield _allow(
            "GiveTasksTheirRoles",
            ["iam:PassRole"],
            list(scope.roles),
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        )
    if features.tags:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
        yield _allow(
            "TagTasksAtTheirStart",
            ["ecs:TagResource"],
            [tasks],
            {"StringEquals": {"ecs:CreateAction": "RunTask"}},
        )
    if features.wide_reap or features.prune:
        # "*": its only resource type is container instances, which Fargate has none of.
        yield _allow("FindTasks", ["ecs:ListTasks"], ["*"], in_cluster)
    if features.images or features.logs:
        # "*": AWS can't limit it.
        yield _allow("ReadTaskDefinitions", ["ecs:DescribeTaskDefinition"], ["*"])
    if features.images:
        derived = f"{scope.prefix}:task-definition/{scope.derived}:*"
        yield _allow("DeriveTaskDefinitions", ["ecs:RegisterTaskDefinition"], [derived])
    if features.prune:
        # "*": AWS can't limit either.
        yield _allow(
            "PruneTaskDefinitions",
            ["ecs:DeregisterTaskDefinition", "ecs:ListTaskDefinitionFamilies"],
            ["*"],
        )
    if features.logs:
        yield _allow("ReadLogsOfTasks", ["logs:GetLogEvents"], [f"{scope.log_group}:log-stream:*"])
    if features.public_addresses:
        # "*": AWS can't limit it.
        yield _allow("FindPublicAddresses", ["ec2:DescribeNetworkInterfaces"], ["*"])


def _allow(
    sid: str, allowed: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": allowed,
        "Resource": resources,
    }
    return statement | ({"Condition": condition} if condition else {})
