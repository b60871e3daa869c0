"""Faults at RunTask."""

from __future__ import annotations

from faults import sources as by
from faults.case import FOREVER, Case, Rule, error, lacks, throttled

_NO_CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different"
    " availability zone"
)
SPOT_THEN_ON_DEMAND = """
[[Capacity]]
Provider = "FARGATE_SPOT"

[[Capacity]]
Name = "on demand"
LaunchType = "FARGATE"
Subnet = "subnet-0def"
"""
_DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not authorized to perform:"
    " {} on resource: {} because no identity-based policy allows the {} action"
)


def _refusal(
    name: str, code: str, message: str, verdict: str | None, source: str, *says: str
) -> Case:
    """RunTask refuses: no task, no second call, AWS's own words and what they mean."""
    return Case(
        name=name,
        strikes="launch",
        rules=(error("RunTask", code, message),),
        result="system_failure",
        tasks=0,
        says=(f"RunTask failed: {code}: {message}", *says),
        verdict=verdict,
        source=source,
    )


def _denied(action: str, resource: str) -> str:
    return _DENIED.format(action, resource, action)


def _passing(name: str, rule: Rule, source: str) -> Case:
    """Trouble that RunTask gets over, with one task in the end."""
    return Case(
        name=name,
        strikes="launch",
        rules=(rule,),
        result="success",
        says=("started task ",),
        source=source,
    )


LAUNCH = (
    _passing("throttled", throttled("RunTask", 2), by.THROTTLING),
    _passing(
        "throttling-wrapped",
        error(
            "RunTask",
            "InvalidParameterException",
            "Error retrieving subnet information for [subnet-0abc]: Rate exceeded"
            " (ErrorCode: Throttling)",
            times=2,
        ),
        by.WRAPPED,
    ),
    _passing(
        "server-error",
        error("RunTask", "ServerException", "Service Unavailable.", status=500, times=2),
        by.RUN_TASK,
    ),
    _passing("reset", {"operation": "RunTask", "reset": True, "times": 2}, by.IDEMPOTENCY),
    _passing("answer-lost", {"operation": "RunTask", "lose_answer": True}, by.DOUBLE),
    _passing(
        "answer-lost-twice-and-late",
        {"operation": "RunTask", "lose_answer": True, "hang": 5, "times": 2},
        by.IDEMPOTENCY,
    ),
    _passing("slow", {"operation": "RunTask", "hang": 15}, by.RUN_TASK),
    Case(
        name="slower-than-StartTimeout",
        strikes="launch",
        rules=({"operation": "RunTask", "hang": 50},),
        start_timeout=3,
        result="system_failure",
        says=("not usable within StartTimeout",),
        source=by.LEAK,
    ),
    Case(
        name="throttled-for-ever",
        strikes="launch",
        rules=(throttled("RunTask", FOREVER),),
        start_timeout=2,
        result="system_failure",
        tasks=0,
        says=("RunTask failed: ThrottlingException: Rate exceeded",),
        verdict="throttled",
        source=by.THROTTLING,
    ),
    Case(
        name="server-error-for-ever",
        strikes="launch",
        rules=(
            error("RunTask", "ServiceUnavailable", "Try later.", status=503, times=3),
            # What prepare could not know to have failed is asked for again: no refusal of that
            # says that there is no task.
            error("RunTask", "ClientException", "nothing there", times=FOREVER),
        ),
        start_timeout=1,
        result="system_failure",
        cleanup=2,
        tasks=0,
        says=("RunTask failed: ServiceUnavailable: Try later.",),
        verdict="aws-failed",
        source=by.COMMON_ERRORS,
    ),
    Case(
        name="refused-after-an-answer-lost",
        strikes="launch",
        rules=(
            {"operation": "RunTask", "lose_answer": True},
            error("RunTask", "ExpiredTokenException", "The security token is expired"),
        ),
        result="system_failure",
        says=("RunTask failed: ExpiredTokenException",),
        verdict="credentials-expired",
        source=by.GHOSTS,
    ),
    Case(
        name="no-capacity-after-an-answer-lost",
        strikes="launch",
        rules=({"operation": "RunTask", "lose_answer": True}, lacks(_NO_CAPACITY)),
        capacity=SPOT_THEN_ON_DEMAND,
        result="system_failure",
        says=(_NO_CAPACITY,),
        source=by.GHOSTS,
    ),
    Case(
        name="conflict",
        strikes="launch",
        rules=(error("RunTask", "ConflictException", "The token was used."),),
        result="system_failure",
        # Whether one runs is not known, so the call is made again, and what it starts is stopped.
        says=("RunTask failed: ConflictException",),
        verdict="token-conflict",
        source=by.IDEMPOTENCY,
    ),
    _refusal(
        "may-not-run-tasks",
        "AccessDeniedException",
        _denied("ecs:RunTask", "arn:aws:ecs:us-east-1:123456789012:task-definition/ci:1"),
        "manager-denied",
        by.COMMON_ERRORS,
        "allow ecs:RunTask on arn:aws:ecs:us-east-1:123456789012:task-definition/ci:1",
    ),
    _refusal(
        "may-not-pass-the-role",
        "AccessDeniedException",
        _denied("iam:PassRole", "arn:aws:iam::123456789012:role/execution"),
        "pass-role-denied",
        by.PASS_ROLE,
        "allow iam:PassRole on arn:aws:iam::123456789012:role/execution",
    ),
    _refusal(
        "credentials-expired",
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "credentials-expired",
        by.COMMON_ERRORS,
    ),
    _refusal(
        "credentials-unknown",
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        "credentials-invalid",
        by.COMMON_ERRORS,
    ),
    _refusal(
        "account-blocked",
        "BlockedException",
        "Your AWS account was blocked. Contact AWS Support.",
        "account-blocked",
        by.RUN_TASK,
    ),
    _refusal(
        "no-such-cluster",
        "ClusterNotFoundException",
        "Cluster not found.",
        "cluster-not-found",
        by.RUN_TASK,
    ),
    _refusal(
        "no-default-strategy",
        "InvalidParameterException",
        "No Container Instances were found in your cluster.",
        "no-container-instances",
        by.GITLAB,
    ),
    _refusal(
        "no-such-capacity-provider",
        "InvalidParameterException",
        "The specified capacity provider 'FARGATE_SPOT' was not found. Specify a valid name or ARN"
        " and try again.",
        "capacity-provider-missing",
        by.PROVIDER,
    ),
    _refusal(
        "no-such-task-definition",
        "ClientException",
        "TaskDefinition not found.",
        "task-definition-not-found",
        by.RUN_TASK,
    ),
    Case(
        name="no-such-task-definition-of-the-job",
        strikes="launch",
        rules=(error("RunTask", "ClientException", "TaskDefinition not found."),),
        variables={"FARGATE_TASK_DEFINITION": "nothing-there"},
        # Who wrote the job can mend it, and trying three times helps nobody.
        result="script_failure",
        tasks=0,
        says=("FARGATE_TASK_DEFINITION nothing-there: ", "TaskDefinition not found."),
        verdict="task-definition-not-found",
        source=by.CUSTOM,
    ),
    _refusal(
        "no-such-container",
        "InvalidParameterException",
        "Override for container named ci-coordinator is not a container in the TaskDefinition.",
        "container-name",
        by.GITLAB,
    ),
    _refusal(
        "no-such-subnet",
        "InvalidParameterException",
        "Error retrieving subnet information for [subnet-0abc]: The subnet ID 'subnet-0abc' does"
        " not exist (ErrorCode: InvalidSubnetID.NotFound)",
        "subnet-unknown",
        by.SUBNET,
    ),
    _refusal(
        "no-such-security-group",
        "InvalidParameterException",
        "Error retrieving security group information for [sg-0abc]: The security group 'sg-0abc'"
        " does not exist (ErrorCode: InvalidGroup.NotFound)",
        "security-group-unknown",
        by.EC2_ERRORS,
    ),
    _refusal(
        "role-not-for-ecs",
        "ClientException",
        "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/execution' that was"
        " provided for this task.",
        "role-not-assumable",
        by.ROLES,
    ),
    _refusal(
        "no-such-platform",
        "PlatformUnknownException",
        "The specified platform version doesn't exist.",
        "platform-unknown",
        by.RUN_TASK,
    ),
    _refusal(
        "platform-too-old",
        "PlatformTaskDefinitionIncompatibilityException",
        "One or more of the requested capabilities are not supported.",
        "platform-too-old",
        by.RUN_TASK,
    ),
    _refusal(
        "not-in-this-region",
        "UnsupportedFeatureException",
        "The specified task is not supported in this region.",
        "unsupported",
        by.RUN_TASK,
    ),
    _refusal("error-of-a-new-kind", "BrandNewException", "Mind the gap.", None, by.RUN_TASK),
    Case(
        name="no-capacity-once",
        strikes="launch",
        rules=(lacks(_NO_CAPACITY),),
        result="success",
        says=(_NO_CAPACITY, "trying"),
        source=by.CAPACITY_IN_FAILURES,
    ),
    Case(
        name="no-capacity-on-spot",
        strikes="launch",
        rules=(lacks(_NO_CAPACITY, capacity_provider="FARGATE_SPOT", times=FOREVER),),
        capacity=SPOT_THEN_ON_DEMAND,
        result="success",
        says=("no capacity on FARGATE_SPOT: ", _NO_CAPACITY, "trying on demand"),
        source=by.FALLBACK,
    ),
    Case(
        name="throttled-on-spot-only",
        strikes="launch",
        rules=(throttled("RunTask", FOREVER) | {"capacity_provider": "FARGATE_SPOT"},),
        capacity='[[Capacity]]\nProvider = "FARGATE"\n',
        result="success",
        says=("started task ",),
        source=by.THROTTLING,
    ),
    Case(
        name="no-capacity-for-ever",
        strikes="launch",
        rules=(lacks(_NO_CAPACITY, times=FOREVER),),
        start_timeout=3,
        result="system_failure",
        tasks=0,
        says=(_NO_CAPACITY,),
        verdict="capacity-unavailable",
        source=by.CAPACITY,
    ),
    Case(
        name="vcpu-quota-reached",
        strikes="launch",
        rules=(
            lacks(
                "You've reached the limit on the number of vCPUs you can run concurrently",
                times=FOREVER,
            ),
        ),
        start_timeout=3,
        result="system_failure",
        tasks=0,
        says=("reached the limit on the number of vCPUs",),
        verdict="quota-reached",
        source=by.FAILURES,
    ),
    Case(
        name="size-above-the-quota",
        strikes="launch",
        rules=(lacks("The requested CPU configuration is above your limit"),),
        result="system_failure",
        tasks=0,
        says=("The requested CPU configuration is above your limit",),
        verdict="size-above-quota",
        source=by.PANIC,
    ),
    Case(
        name="full-instances",
        strikes="launch",
        rules=(lacks("RESOURCE:ENI", times=FOREVER),),
        start_timeout=3,
        result="system_failure",
        tasks=0,
        says=("RESOURCE:ENI",),
        verdict="instances-full",
        source=by.FAILURES,
    ),
    Case(
        name="failure-of-a-new-kind",
        strikes="launch",
        rules=(lacks("PURPLE"),),
        result="system_failure",
        tasks=0,
        says=("PURPLE",),
        source=by.FAILURES,
    ),
)
