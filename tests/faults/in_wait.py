"""Faults between RunTask and RUNNING."""

from __future__ import annotations

from faults import sources as by
from faults.case import FOREVER, Case, error, stops, task, throttled
from faults.in_launch import SPOT_THEN_ON_DEMAND

_ENI = "Timeout waiting for network interface provisioning to complete."
_NO_ANSWER = (
    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve"
    " ref docker.io/library/alpine:3: failed to do request: Head"
    ' "https://registry-1.docker.io/v2/library/alpine/manifests/3": dial tcp 192.0.2.1:443: i/o'
    " timeout"
)
_PUBLIC = "EnablePublicIP = true\n"
_MANAGER = (
    "User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not authorized to perform:"
    " {} on resource: * because no identity-based policy allows the {} action"
)


def _survived(name: str, *rules: dict[str, object], source: str, settings: str = "") -> Case:
    """Trouble that the one task gets over."""
    return Case(
        name=name,
        strikes="wait",
        rules=rules,
        settings=settings,
        result="success",
        says=("started task ",),
        source=source,
    )


def _replaced(name: str, rule: dict[str, object], verdict: str, source: str, *says: str) -> Case:
    """A start that fails by no one's fault: another task takes its place."""
    return Case(
        name=name,
        strikes="wait",
        rules=(rule,),
        result="success",
        tasks=2,
        says=says,
        verdict=verdict,
        source=source,
    )


def _ended(
    name: str, rule: dict[str, object], verdict: str | None, source: str, *says: str
) -> Case:
    """A start that fails the same way every time: no second task."""
    return Case(
        name=name,
        strikes="wait",
        rules=(rule,),
        result="system_failure",
        says=("the task stopped: ", *says),
        verdict=verdict,
        source=source,
    )


def _too_late(name: str, *rules: dict[str, object], source: str, says: str) -> Case:
    """StartTimeout ends a start that never ends, and the task with it."""
    return Case(
        name=name,
        strikes="wait",
        rules=rules,
        start_timeout=3,
        result="system_failure",
        says=("not usable within StartTimeout", says),
        source=source,
    )


def _unasked(name: str, rule: dict[str, object], verdict: str, source: str, *says: str) -> Case:
    """The driver may not see its own task: that one is stopped."""
    return Case(
        name=name,
        strikes="wait",
        rules=(rule,),
        settings=_PUBLIC,
        result="system_failure",
        says=says,
        verdict=verdict,
        source=source,
    )


_EXCLUSIVE = "ecs:DescribeTasks", "ec2:DescribeNetworkInterfaces"

WAIT = (
    _survived("slow-start", task(start_delay=20), source=by.LIFECYCLE),
    _survived("slow-network", task(eni_delay=20), source=by.LIFECYCLE),
    _too_late("slow-start-too-slow", task(start_delay=600), source=by.LEAK, says="PROVISIONING"),
    _too_late("slow-network-too-slow", task(eni_delay=600), source=by.LEAK, says="PROVISIONING"),
    _too_late("never-placed", task(never_starts=True), source=by.HANGS, says="PROVISIONING"),
    # The task stops in each status.
    _replaced(
        "network-interface-late",
        stops("PROVISIONING", _ENI),
        "network-interface-timeout",
        by.ONE_IN_A_HUNDRED,
        "the start failed: ",
        _ENI,
        "trying",
    ),
    _replaced(
        "storage-late",
        stops("PROVISIONING", "Timeout waiting for EphemeralStorage provisioning to complete."),
        "storage-timeout",
        by.TRANSIENT,
        "the start failed: ",
        "trying",
    ),
    Case(
        name="network-interface-late-for-ever",
        strikes="wait",
        rules=(stops("PROVISIONING", _ENI, times=FOREVER),),
        start_timeout=4,
        result="system_failure",
        tasks=(1, 3),
        says=("the task stopped: TaskFailedToStart: ", _ENI),
        verdict="network-interface-timeout",
        source=by.HANGS,
    ),
    _ended(
        "network-interface-refused",
        stops(
            "PROVISIONING",
            "Unexpected EC2 error while attempting to Create Network Interface with public IP"
            " assignment enabled in subnet 'subnet-0abc': AuthFailure",
        ),
        "network-interface-denied",
        by.START_ERRORS,
        "AuthFailure",
    ),
    Case(
        name="subnet-full",
        strikes="wait",
        rules=(
            stops(
                "PROVISIONING",
                "Unexpected EC2 error while attempting to Create Network Interface in subnet"
                " 'subnet-0abc': InsufficientFreeAddressesInSubnet",
            ),
        ),
        capacity=SPOT_THEN_ON_DEMAND,
        result="success",
        tasks=2,
        says=("no capacity on FARGATE_SPOT: ", "trying on demand"),
        source=by.START_ERRORS,
    ),
    _replaced(
        "registry-silent",
        stops("PENDING", _NO_ANSWER),
        "registry-timeout",
        by.TRANSIENT,
        "the start failed: ",
        "i/o timeout",
        "trying",
    ),
    _ended(
        "image-missing",
        stops(
            "PENDING",
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to"
            " resolve ref docker.io/library/nosuchimage:latest:"
            " docker.io/library/nosuchimage:latest: not found",
        ),
        "image-not-found",
        by.PULL_HIDDEN,
        "CannotPullContainerError",
        "nosuchimage:latest",
    ),
    _ended(
        "image-private",
        stops(
            "PENDING",
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to"
            " resolve ref docker.io/example/private:latest: pull access denied, repository does not"
            " exist or may require authorization: server message: insufficient_scope: authorization"
            " failed",
        ),
        "image-access-denied",
        by.PULL_ERRORS,
        "CannotPullContainerError",
    ),
    _ended(
        "pull-limit",
        stops(
            "PENDING",
            "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit. You"
            " may increase the limit by authenticating and upgrading:"
            " https://www.docker.com/increase-rate-limits",
        ),
        "registry-pull-limit",
        by.PULL_ERRORS,
        "toomanyrequests",
    ),
    _ended(
        "image-for-arm",
        stops(
            "PENDING",
            "CannotPullContainerError: pull image manifest has been retried 7 time(s): image"
            " Manifest does not contain descriptor matching platform 'linux/amd64'",
        ),
        "image-architecture",
        by.PULL_ERRORS,
        "linux/amd64",
    ),
    _ended(
        "registry-token-denied",
        stops(
            "PENDING",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution"
            " resource retrieval failed: unable to retrieve ecr registry auth: service call has"
            " been retried 1 time(s): AccessDeniedException: User:"
            " arn:aws:sts::123456789012:assumed-role/execution/0abc is not authorized to perform:"
            " ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the"
            " ecr:GetAuthorizationToken action",
        ),
        "registry-credentials-denied",
        by.OPAQUE,
        "allow ecr:GetAuthorizationToken",
    ),
    _ended(
        "secret-missing",
        stops(
            "PENDING",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution"
            " resource retrieval failed: unable to retrieve secret from asm: service call has been"
            " retried 1 time(s): failed to fetch secret"
            " arn:aws:secretsmanager:us-east-1:123456789012:secret:ci from secrets manager:"
            " ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        ),
        "secret-not-found",
        by.SECRETS_DENIED,
        "secret:ci",
    ),
    _ended(
        "log-group-missing",
        stops(
            "PENDING",
            "ResourceInitializationError: failed to validate logger args: create stream has been"
            " retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException:"
            " The specified log group does not exist.",
        ),
        "log-group-missing",
        by.SECRET_ERRORS,
        "log group does not exist",
    ),
    _ended(
        "entrypoint-missing",
        stops(
            "ACTIVATING",
            "CannotStartContainerError: ResourceInitializationError: failed to create new container"
            " runtime task: failed to create shim: OCI runtime create failed: starting container"
            ' process caused: exec: "-url": executable file not found in $PATH',
        ),
        "entrypoint-not-found",
        by.ENTRYPOINT,
        "executable file not found",
    ),
    _ended(
        "stopped-by-others",
        stops("RUNNING", "Task stopped by user", code="UserInitiated"),
        "stopped-by-user",
        by.WHO_STOPPED,
        "UserInitiated: Task stopped by user",
    ),
    _ended(
        "health-check-failed",
        stops(
            "RUNNING",
            "Task failed container health checks",
            code="ServiceSchedulerInitiated",
        ),
        "unhealthy",
        by.WHO_STOPPED,
        "Task failed container health checks",
    ),
    _replaced(
        "taken-away",
        stops("RUNNING", "Your Spot Task was interrupted.", code="SpotInterruption"),
        "spot-interruption",
        by.SPOT_REASON,
        "SpotInterruption",
        "trying",
    ),
    _replaced(
        "machine-retired",
        stops("RUNNING", "The task was given a termination notice", code="TerminationNotice"),
        "termination-notice",
        by.TASK,
        "TerminationNotice",
        "trying",
    ),
    _ended(
        "reason-of-a-new-kind",
        stops("PROVISIONING", "The moon stood wrong."),
        None,
        by.STOPPED_REASONS,
        "TaskFailedToStart: The moon stood wrong.",
    ),
    Case(
        name="unhealthy",
        strikes="wait",
        rules=(task(unhealthy=True),),
        result="system_failure",
        says=("health check of container ci-coordinator reports UNHEALTHY",),
        source=by.HEALTH,
    ),
    # DescribeTasks.
    _survived("missing", {"operation": "DescribeTasks", "missing_for": 20}, source=by.MISSING),
    _too_late(
        "missing-for-ever",
        {"operation": "DescribeTasks", "missing_for": 10_000},
        source=by.MISSING,
        says="ECS does not show the task yet",
    ),
    _survived("looks-throttled", throttled("DescribeTasks", 1), source=by.POLLING),
    Case(
        name="looks-throttled-for-ever",
        strikes="wait",
        rules=(throttled("DescribeTasks", FOREVER),),
        start_timeout=3,
        result="system_failure",
        says=("not usable within StartTimeout", "Rate exceeded"),
        verdict="throttled",
        source=by.POLLING,
    ),
    _survived(
        "looks-reset",
        {"operation": "DescribeTasks", "reset": True},
        source=by.DESCRIBE_TASKS,
    ),
    _survived(
        "look-lost", {"operation": "DescribeTasks", "lose_answer": True}, source=by.DESCRIBE_TASKS
    ),
    _survived("look-slow", {"operation": "DescribeTasks", "hang": 15}, source=by.DESCRIBE_TASKS),
    _unasked(
        "may-not-look",
        error("DescribeTasks", "AccessDeniedException", _MANAGER.format(*_EXCLUSIVE[:1] * 2)),
        "manager-denied",
        by.COMMON_ERRORS,
        "allow ecs:DescribeTasks",
    ),
    _unasked(
        "credentials-expired-meanwhile",
        error("DescribeTasks", "ExpiredTokenException", "The token is expired"),
        "credentials-expired",
        by.COMMON_ERRORS,
        "DescribeTasks failed: ExpiredTokenException",
    ),
    # DescribeNetworkInterfaces, for public addresses.
    _survived(
        "address-throttled",
        error("DescribeNetworkInterfaces", "RequestLimitExceeded", "Rate", status=503, times=2),
        source=by.EC2_ERRORS,
        settings=_PUBLIC,
    ),
    _survived(
        "address-server-error",
        error("DescribeNetworkInterfaces", "InternalError", "Try later.", status=500),
        source=by.EC2_ERRORS,
        settings=_PUBLIC,
    ),
    _survived(
        "address-reset",
        {"operation": "DescribeNetworkInterfaces", "reset": True},
        source=by.EC2_ERRORS,
        settings=_PUBLIC,
    ),
    _survived(
        "address-slow",
        {"operation": "DescribeNetworkInterfaces", "hang": 15},
        source=by.EC2_ERRORS,
        settings=_PUBLIC,
    ),
    _survived(
        "interface-not-known-yet",
        error(
            "DescribeNetworkInterfaces",
            "InvalidNetworkInterfaceID.NotFound",
            "The networkInterface ID 'eni-0abc' does not exist",
        ),
        source=by.EC2_LATER,
        settings=_PUBLIC,
    ),
    _unasked(
        "may-not-see-the-address",
        error(
            "DescribeNetworkInterfaces",
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. "
            + _MANAGER.format(*_EXCLUSIVE[1:] * 2),
            status=403,
        ),
        "manager-denied",
        by.EC2_ERRORS,
        "allow ec2:DescribeNetworkInterfaces",
    ),
)
