"""Credentials, Region and clock: what every call of AWS stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.aws import PATIENCE, Aws, CallError
from fargate_driver.doctor.background import begin
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.ecs import launch
from fargate_driver.ecs.endpoint import is_loopback
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from fargate_driver.settings import Settings

NO_TASK = "0" * 32
"""A task's id that can't exist: ids are random (https://docs.aws.amazon.com/AmazonECS/latest/
developerguide/ecs-account-settings.html names their form)."""
_MOST_SKEW = 60.0
"""Seconds. AWS refuses requests that are off by 300 (https://docs.aws.amazon.com/IAM/latest/UserGuide/
reference_sigv-troubleshooting.html); a clock that is kept is off by less than one."""
_SOURCES = {
    "env": "the environment of this process",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS configuration file",
    "iam-role": "the instance's role",
    "container-role": "the container's role",
    "assume-role": "[Fargate] AssumeRole, or a profile with role_arn",
    "explicit": "placeholders, for an endpoint of this machine",
}
"""Names of botocore (botocore/credentials.py), for people."""


_SEE_CREDENTIALS = "AWS can't be called: see credentials"


@dataclass
class Access:
    """How AWS can be reached.

    Attributes:
        findings: What was found.
        aws: For further calls; None where none can work.
        blocked: Why no call can work; "" where they can.
        identity: The ARN of whoever calls; "" where unknown.
        tasks: Why DescribeTasks failed, which is called for a task that can't exist; None where it
            didn't fail.
    """

    findings: list[Finding] = field(default_factory=list)
    aws: Aws | None = None
    blocked: str = ""
    identity: str = ""
    tasks: CallError | None = None


def look(config: Settings) -> Access:
    """Find out whether and as whom AWS can be called.

    Args:
        config: The settings.
    """
    access = Access()
    try:
        # Some sources are other hosts or programs, which may take as long as they like.
        aws = begin(lambda: Aws(launch.target(config))).result(PATIENCE)
    except (DriverError, TimeoutError) as error:
        mend = "see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html"
        found = str(error) or f"their source gives none within {PATIENCE} s"
        _block(access, wrong("credentials", found, mend))
        access.findings += [unchecked(one, access.blocked) for one in ("region", "clock")]
        return access
    missing = _missing(aws)
    if missing:
        _block(access, missing, "there are no credentials")
    else:
        trying = begin(lambda: _try(aws, config))
        who = _identity(aws, access)
        access.tasks = trying.result()
        if access.tasks and access.tasks.credentials:
            who = _refused(aws, access.tasks)
            access.blocked = _SEE_CREDENTIALS
        access.findings.append(who)
    access.findings += [_region(aws, config, access), _clock(aws)]
    if not access.blocked:
        access.aws = aws
    return access


def _block(access: Access, finding: Finding, why: str = _SEE_CREDENTIALS) -> None:
    access.findings.append(finding)
    access.blocked = why


def _try(aws: Aws, config: Settings) -> CallError | None:
    """Call ECS by the right that every driver has."""
    try:
        aws.call("ecs:DescribeTasks", cluster=config.fargate.cluster, tasks=[NO_TASK])
    except CallError as error:
        return error
    return None


def _missing(aws: Aws) -> Finding | None:
    """What keeps credentials from being there."""
    if aws.credentials is None:
        mend = (
            "give the manager a role (instance profile, task role), or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY; gitlab-runner's own environment counts, not that of your shell"
        )
        return wrong("credentials", "no credentials found", mend)
    try:
        aws.load_credentials()
    except CallError as error:
        return wrong("credentials", str(error), _mend(aws))
    return None


def _identity(aws: Aws, access: Access) -> Finding:
    """Who calls; sets what follows from that."""
    credentials = aws.credentials
    source = _SOURCES.get(credentials.method, credentials.method)
    told = f"from {source}, {_expiry(credentials)}"
    try:
        access.identity = str(aws.call("sts:GetCallerIdentity")["Arn"])
    except CallError as error:
        if error.credentials:
            access.blocked = _SEE_CREDENTIALS
            return _refused(aws, error)
        return ok("credentials", f"{told}; whose they are can't be told ({error})")
    return ok("credentials", f"{access.identity}, {told}")


def _refused(aws: Aws, error: CallError) -> Finding:
    if aws.skew is not None and abs(aws.skew) > _MOST_SKEW:
        # Then the clock is to blame, and is said to be.
        return unchecked("credentials", f"AWS refuses them, since the clock is wrong ({error})")
    return wrong("credentials", f"AWS refuses them: {error}", _mend(aws))


def _mend(aws: Aws) -> str:
    if aws.target.assume_role:
        return (
            f"the trust policy of {aws.target.assume_role} must let this manager assume it, and"
            " the manager needs the right sts:AssumeRole"
        )
    return "renew them, or give the manager a role, whose credentials AWS renews"


def _expiry(credentials: Any) -> str:
    # botocore keeps it to itself (botocore/credentials.py, RefreshableCredentials).
    moment = getattr(credentials, "_expiry_time", None)
    if isinstance(moment, datetime):
        return f"renewed before {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if credentials.token:
        return "temporary, and nobody renews them"
    return "which don't expire"


def _region(aws: Aws, config: Settings, access: Access) -> Finding:
    region = config.fargate.region
    for key, value in (
        ("Cluster", config.fargate.cluster),
        ("TaskDefinition", config.fargate.task_definition),
        ("[Images] BaseTaskDefinition", config.images.base_task_definition or ""),
    ):
        parts = value.split(":")
        if value.startswith("arn:") and parts[3] != region:
            found = f"Region is {region}, and {key} is in {parts[3]}"
            access.blocked = access.blocked or "Region is wrong"
            return wrong(
                "region", found, f'set [Fargate] Region = "{parts[3]}", or name another {key}'
            )
    place = aws.target.endpoint_url or "AWS"
    known = region in aws.regions
    unreachable = access.tasks is not None and not access.tasks.code
    if not known and (unreachable or aws.target.endpoint_url):
        close = get_close_matches(region, aws.regions, n=1)
        mend = f'did you mean [Fargate] Region = "{close[0]}"?' if close else "see [Fargate] Region"
        access.blocked = access.blocked or f"there is no region {region}"
        return wrong("region", f"no region of AWS is named {region}", mend)
    if access.blocked:
        return unchecked("region", access.blocked)
    if unreachable:
        access.blocked = f"{place} can't be reached"
        mend = (
            "see whether `fargate local up` still runs, and at that port"
            if is_loopback(aws.target.endpoint_url)
            else "the manager needs a way to ECS's endpoint (NAT, or VPC endpoints for ecs and,"
            " with public addresses, ec2), HTTPS_PROXY where there is a proxy, and a right"
            " EndpointURL"
        )
        return wrong("region", str(access.tasks), mend)
    return ok("region", f"{region}; ECS answers" + (f" at {place}" if place != "AWS" else ""))


def _clock(aws: Aws) -> Finding:
    if aws.skew is None:
        return unchecked("clock", "AWS gave no answer to compare with")
    if abs(aws.skew) <= _MOST_SKEW:
        return ok(
            "clock", "agrees with AWS's to the second" if abs(aws.skew) < 2 else _off(aws.skew)
        )
    mend = "have it kept: systemd-timesyncd or chrony; AWS refuses requests that are off by 300 s"
    return wrong("clock", _off(aws.skew), mend)


def _off(skew: float) -> str:
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS's"
