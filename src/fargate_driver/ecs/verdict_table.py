"""The table of everything that ECS is known to say when a task doesn't start, or ends.

The first row that matches wins, so the special stands before the general. Placeholders in braces
are facts of the case (facts.FACTS) or named groups of the row's `text`. docs/troubleshooting.md
is made from it by scripts/docs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.ecs.verdict import Chosen, Fault, Retry, Row, Where

if TYPE_CHECKING:
    from typing import Final

_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_REPOST = "https://repost.aws/knowledge-center/"
_GITHUB = "https://github.com/"
_PULL = _GUIDE + "task_cannot_pull_image.html"
_INIT = _GUIDE + "resource-initialization-error.html"
_EVENTS = _GUIDE + "service-event-messages-list.html"
_RUN_TASK = _API + "API_RunTask.html"
_COMMON = _API + "CommonErrors.html"

_PULL_RETRIED = "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
_RESOLVE = _PULL_RETRIED + "failed to resolve ref "
_SECRETS = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource"
    " retrieval failed: "
)
_TIMEOUTS = (
    r"i/o timeout|context deadl|request cancell?ed|RequestCanceled|context cancell?ed|\btimed out\b"
    r"|handshake timeout|Client\.Timeout"
)
"""Images may be called `timeout`: an expression must not be what a name can hold."""
_NO_WAY_OUT = (
    "if it happens every time, give the subnet a way out (NAT gateway, a public address, or VPC"
    " endpoints for ecr.api, ecr.dkr, s3, logs and secretsmanager) and let the security group out"
    " on port 443"
)

ROWS: Final[tuple[Row, ...]] = (
    # The end of a running task, told by its stop code. StopTask comes first: its reason is free
    # text, and may quote any other.
    Row(
        "stopped-by-user",
        "somebody stopped the task (StopTask)",
        Fault.OPERATOR,
        "AWS CloudTrail tells who called StopTask; the driver's own reasons begin with `job`",
        Retry.NEVER,
        "UserInitiated: Task stopped by user",
        _REPOST + "ecs-task-stopped",
        text=r"^UserInitiated\b|^Task stopped by user",
        where=Where.TASK,
    ),
    Row(
        "spot-interruption",
        "AWS took the Spot capacity back",
        Fault.SPOT,
        "let GitLab start the job again (retry: when: runner_system_failure), or run it on FARGATE",
        Retry.NEXT_CAPACITY,
        "SpotInterruption: Your Spot Task was interrupted.",
        _GUIDE + "spot-interruption-errors.html",
        text=r"^SpotInterruption\b|Spot Task was interrupted",
        where=Where.TASK,
    ),
    Row(
        "maintenance",
        "AWS retired the machine that the task ran on",
        Fault.AWS,
        "let GitLab start the job again (retry: when: runner_system_failure)",
        Retry.RELAUNCH,
        "ServiceSchedulerInitiated: ECS is performing maintenance on the underlying infrastructure"
        " hosting the task",
        _GUIDE + "task-maintenance.html",
        text=r"performing maintenance on the underlying|task retirement|Host EC2 .*terminated"
        r"|^InfrastructureHealth\b",
        where=Where.TASK,
    ),
    Row(
        "termination-notice",
        "AWS ended the task, with notice",
        Fault.AWS,
        "let GitLab start the job again (retry: when: runner_system_failure)",
        Retry.RELAUNCH,
        "TerminationNotice: the task was given a termination notice",
        _API + "API_Task.html",
        code="TerminationNotice",
        where=Where.TASK,
    ),
    Row(
        "unhealthy",
        "the health check of {container} failed, and ECS stopped the task",
        Fault.IMAGE,
        "mend the healthCheck of the task definition, or what it checks",
        Retry.NEVER,
        "ServiceSchedulerInitiated: Task failed container health checks",
        _REPOST + "ecs-task-stopped",
        text=r"failed container health check",
        where=Where.TASK,
    ),
    Row(
        "stopped-by-service",
        "an ECS service or deployment stopped the task",
        Fault.OPERATOR,
        "keep the tasks of jobs out of ECS services",
        Retry.NEVER,
        "ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/0123456789)",
        _REPOST + "ecs-task-stopped",
        text=r"^ServiceSchedulerInitiated\b|Scaling activity initiated|failed ELB health checks",
        where=Where.TASK,
    ),
    Row(
        "container-out-of-memory",
        "{container} was killed because its memory was used up{limit}",
        Fault.CONFIGURATION,
        "{larger}, or let the job use less",
        Retry.NEVER,
        "EssentialContainerExited: Essential container in task exited; container ci-coordinator:"
        " exit code 137, OutOfMemoryError: Container killed due to memory usage",
        _GUIDE + "out-of-memory.html",
        text=r"(^|[,;:] )OutOfMemoryError: |killed due to memory",
        where=Where.TASK,
    ),
    # The registry, before AWS's own throttling: both say that a rate is exceeded.
    Row(
        "registry-pull-limit",
        "{registry} refuses further pulls of {image}: the pull limit is used up",
        Fault.IMAGE,
        "pull with credentials ([Images.RegistryCredentials], or repositoryCredentials of a task"
        " definition of your own), or through an ECR pull-through cache",
        Retry.NEVER,
        "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit. You may"
        " increase the limit by authenticating and upgrading:"
        " https://www.docker.com/increase-rate-limits",
        _PULL,
        text=r"CannotPullContainer.*pull rate limit",
        where=Where.TASK,
    ),
    Row(
        "registry-throttled",
        "{registry} is asked too often for {image}",
        Fault.NETWORK,
        "pull with credentials ([Images.RegistryCredentials], or repositoryCredentials of a task"
        " definition of your own), or through an ECR pull-through cache",
        Retry.WAIT,
        "CannotPullContainerError: ERROR: toomanyrequests: Too Many Requests.",
        _PULL,
        text=r"CannotPullContainer.*(: toomanyrequests|Too Many Requests|Rate exceeded)",
        where=Where.TASK,
    ),
    Row(
        "task-definition-revisions-throttled",
        "other calls register revisions of the same task definition family right now",
        Fault.AWS,
        "nothing, unless it stays so",
        Retry.WAIT,
        "ClientException: Too many concurrent attempts to create a new revision of the specified"
        " family.",
        _GITHUB + "PrefectHQ/prefect/issues/16485",
        text=r"Too many concurrent attempts to create a new revision",
    ),
    Row(
        "throttled",
        "AWS throttles the account's calls",
        Fault.AWS,
        "nothing, unless it stays so: then ask AWS for a higher rate, or start fewer jobs at once",
        Retry.WAIT,
        "InvalidParameterException: Error retrieving subnet information for [subnet-0abc]: Rate"
        " exceeded (ErrorCode: Throttling)",
        _GITHUB + "dagster-io/dagster/issues/33439",
        text=r"Rate exceeded|ErrorCode: Throttling|(?<![\w./-])((EC2)?Throttl(ed|ing)(Exception)?"
        r"|RequestThrottled(Exception)?|RequestLimitExceeded|TooManyRequestsException):( |$)",
    ),
    # RunTask's failures.
    Row(
        "capacity-unavailable",
        "Fargate has no capacity free for this task right now",
        Fault.CAPACITY,
        "name subnets of several Availability Zones, list further [[Capacity]], or take another"
        " task size",
        Retry.NEXT_CAPACITY,
        "Capacity is unavailable at this time. Please try again later or in a different"
        " availability zone",
        _REPOST + "ecs-fargate-runtask-capacity",
        text=r"Capacity is unavailable|insufficient capacity",
    ),
    Row(
        "quota-reached",
        "the account runs as many {what} on Fargate as its quota allows",
        Fault.CAPACITY,
        "raise the Fargate quota in Service Quotas (On-Demand and Spot have one each), or run"
        " fewer jobs at once",
        Retry.NEXT_CAPACITY,
        "You've reached the limit on the number of vCPUs you can run concurrently",
        _EVENTS,
        text=r"reached the limit on the number of (?P<what>\w+)",
    ),
    Row(
        "size-above-quota",
        "the task asks for more {what} than the account's quota allows",
        Fault.CAPACITY,
        "raise the Fargate vCPU quota in Service Quotas, or take a smaller task size",
        Retry.NEVER,
        "The requested CPU configuration is above your limit",
        _EVENTS,
        text=r"requested (?P<what>CPU|MEMORY) configuration is above your limit",
    ),
    Row(
        "instances-full",
        "no EC2 instance of the cluster has enough {what} left",
        Fault.CAPACITY,
        "jobs need Fargate: give the cluster a default capacity provider strategy with FARGATE or"
        " FARGATE_SPOT, or list them under [[Capacity]]",
        Retry.NEXT_CAPACITY,
        "RESOURCE:ENI",
        _GUIDE + "api_failures_messages.html",
        text=r"\bRESOURCE:(?P<what>\w+)",
    ),
    Row(
        "instance-agent-disconnected",
        "the ECS agent of the cluster's EC2 instance is not connected",
        Fault.CAPACITY,
        "jobs need Fargate: give the cluster a default capacity provider strategy with FARGATE or"
        " FARGATE_SPOT",
        Retry.NEXT_CAPACITY,
        "AGENT (arn:aws:ecs:us-east-1:123456789012:container-instance/0abc)",
        _GUIDE + "api_failures_messages.html",
        text=r"^AGENT\b",
        where=Where.FAILURE,
    ),
    Row(
        "instances-unfit",
        "no EC2 instance of the cluster can run the task",
        Fault.CONFIGURATION,
        "jobs need Fargate: give the cluster a default capacity provider strategy with FARGATE or"
        " FARGATE_SPOT",
        Retry.NEXT_CAPACITY,
        "ATTRIBUTE (arn:aws:ecs:us-east-1:123456789012:container-instance/0abc)",
        _GUIDE + "api_failures_messages.html",
        text=r"^(ATTRIBUTE|LOCATION|INACTIVE|MemberOf)\b",
        where=Where.FAILURE,
    ),
    Row(
        "task-missing",
        "ECS doesn't know the task (yet)",
        Fault.AWS,
        "nothing right after RunTask; later, check that Cluster and Region are those of the task",
        Retry.WAIT,
        "MISSING (arn:aws:ecs:us-east-1:123456789012:task/ci/0abc)",
        _GITHUB + "dask/dask-cloudprovider/issues/483",
        text=r"^MISSING\b",
        where=Where.FAILURE,
    ),
    Row(
        "placement-internal-error",
        "ECS could not place the task",
        Fault.AWS,
        "if it happens every time, take subnets of Availability Zones that have Fargate",
        Retry.NEXT_CAPACITY,
        "Internal error.",
        _EVENTS,
        text=r"^Internal error\b",
        where=Where.FAILURE,
    ),
    # The network of the task.
    Row(
        "network-interface-timeout",
        "the task's network interface did not get ready in time",
        Fault.AWS,
        "nothing: about one start in a hundred fails so",
        Retry.RELAUNCH,
        "Timeout waiting for network interface provisioning to complete.",
        _GITHUB + "apache/airflow/issues/15000",
        text=r"Timeout waiting for network interface|Network interface provision",
        where=Where.TASK,
    ),
    Row(
        "storage-timeout",
        "the task's ephemeral storage did not get ready in time",
        Fault.AWS,
        "nothing, unless it stays so",
        Retry.RELAUNCH,
        "Timeout waiting for EphemeralStorage provisioning to complete.",
        _GITHUB + "dagster-io/dagster/pull/26183",
        text=r"Timeout waiting for EphemeralStorage",
        where=Where.TASK,
    ),
    Row(
        "network-interface-denied",
        "ECS may not make the task's network interface",
        Fault.PERMISSIONS,
        "see the tag policies, service control policies and the role AWSServiceRoleForECS",
        Retry.NEVER,
        "Unexpected EC2 error while attempting to tag the network interface: TagPolicyViolation",
        _GUIDE + "failed-to-start-error.html",
        text=r"Unexpected EC2 error.*(TagPolicyViolation|Unauthorized|not authorized|AuthFailure"
        r"|AccessDenied)",
        where=Where.TASK,
    ),
    Row(
        "subnet-unknown",
        "the subnet{subnet} doesn't exist",
        Fault.CONFIGURATION,
        "mend [Fargate] Subnet; subnets belong to one Region and account",
        Retry.NEVER,
        "InvalidParameterException: Error retrieving subnet information for [subnet-0abc]: The"
        " subnet ID 'subnet-0abc' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
        _GITHUB + "eddmann/serverless-fargate/issues/20",
        text=r"InvalidSubnetID|subnet ID '[^']*' does not exist",
    ),
    Row(
        "security-group-unknown",
        "a security group doesn't exist",
        Fault.CONFIGURATION,
        "mend [Fargate] SecurityGroup; it must be of the subnets' VPC",
        Retry.NEVER,
        "InvalidParameterException: Error retrieving security group information for [sg-0abc]: The"
        " security group 'sg-0abc' does not exist (ErrorCode: InvalidGroup.NotFound)",
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
        text=r"InvalidGroup|security group '[^']*' does not exist|belong to different networks"
        r"|do not belong to the same (VPC|network)",
    ),
    Row(
        "network-part-missing",
        "a part of the task's network doesn't exist",
        Fault.CONFIGURATION,
        "check that the subnets and security groups of the configuration still exist",
        Retry.NEVER,
        "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc':"
        " InvalidVpcID.NotFound",
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
        text=r"Unexpected EC2 error.*NotFound",
        where=Where.TASK,
    ),
    Row(
        "subnet-full",
        "the subnet{subnet} has no free addresses left",
        Fault.CAPACITY,
        "name further subnets, or larger ones: each task takes an address",
        Retry.NEXT_CAPACITY,
        "Unexpected EC2 error while attempting to Create Network Interface with public IP"
        " assignment enabled in subnet 'subnet-0abc': InsufficientFreeAddressesInSubnet",
        _GUIDE + "failed-to-start-error.html",
        text=r"InsufficientFreeAddresses|(enough|sufficient) (free|available)? ?(IP )?address"
        r"|with public IP assignment enabled in subnet '[^']*'?[.]?($|;)",
    ),
    Row(
        "network-interface-quota",
        "the account has as many network interfaces as its quota allows",
        Fault.CAPACITY,
        "raise the quota `Network interfaces per Region` in Service Quotas",
        Retry.NEXT_CAPACITY,
        "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc':"
        " NetworkInterfaceLimitExceeded",
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
        text=r"NetworkInterfaceLimitExceeded",
    ),
    Row(
        "network-interface-failed",
        "EC2 could not make or attach the task's network interface",
        Fault.AWS,
        "nothing, unless it stays so",
        Retry.RELAUNCH,
        "Unexpected EC2 error while attempting to Create Network Interface with public IP"
        " assignment enabled in subnet 'subnet-0abc': InternalError",
        _GITHUB + "dagster-io/dagster/pull/26183",
        text=r"Unexpected EC2 error|failed to configure ENI|Unable to attach network interface",
        where=Where.TASK,
    ),
    # What the execution role may not do; each message may stand in a pull or a set-up error.
    Row(
        "file-system-denied",
        "EFS refuses to mount the task's file system: {denied}",
        Fault.PERMISSIONS,
        "let the task role mount it (elasticfilesystem:ClientMount), and check the file system's"
        " policy and the access point",
        Retry.NEVER,
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes:"
        " stderr: b'mount.nfs4: access denied by server while mounting 127.0.0.1:/'",
        _GUIDE + "efs-volumes.html",
        text=r"EFS utils.*(access denied|not authorized|permission denied)",
        where=Where.TASK,
    ),
    Row(
        "registry-credentials-denied",
        "the task's execution role may not get a token of ECR: {denied}",
        Fault.PERMISSIONS,
        "{grant}; AmazonECSTaskExecutionRolePolicy has what pulling needs",
        Retry.NEVER,
        _SECRETS + "unable to retrieve ecr registry auth: service call has been retried 1"
        " time(s): AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/execution/0a"
        " is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no"
        " identity-based policy allows the ecr:GetAuthorizationToken action",
        _REPOST + "ecs-unable-to-pull-secrets",
        text=r"AccessDenied.*ecr:GetAuthorizationToken|ecr registry auth.*AccessDenied",
        where=Where.TASK,
    ),
    Row(
        "execution-role-denied",
        "the task's execution role lacks a right: {denied}",
        Fault.PERMISSIONS,
        "{grant}",
        Retry.NEVER,
        "ResourceInitializationError: failed to validate logger args: create stream has been"
        " retried 1 times: failed to create Cloudwatch log stream: AccessDeniedException: User:"
        " arn:aws:sts::123456789012:assumed-role/execution/0abc is not authorized to perform:"
        " logs:CreateLogStream on resource: arn:aws:logs:us-east-1:123456789012:log-group:ci:*"
        " because no identity-based policy allows the logs:CreateLogStream action",
        _GUIDE + "task_execution_IAM_role.html",
        text=r"not authorized to perform|Access to KMS is not allowed|AccessDenied"
        r"|ciphertext refers to a customer master key|env files.*(Forbidden|StatusCode: 403)",
        where=Where.TASK,
    ),
    Row(
        "role-not-assumable",
        "ECS may not take the role{role} of the task definition",
        Fault.PERMISSIONS,
        "check that the role exists, that its trust policy names ecs-tasks.amazonaws.com, and that"
        " the manager may pass it (iam:PassRole)",
        Retry.NEVER,
        "ClientException: ECS was unable to assume the role"
        " 'arn:aws:iam::123456789012:role/execution' that was provided for this task. Please verify"
        " that the role being passed has the proper trust relationship and permissions and that"
        " your IAM user has permissions to pass this role.",
        _GUIDE + "security-ecs-iam-role-overview.html",
        text=r"unable to assume the role|Role is not valid|Roles are not valid",
    ),
    Row(
        "service-linked-role",
        "ECS has no service-linked role in this account yet",
        Fault.CONFIGURATION,
        "AWS makes it at the first use; if it stays so: aws iam create-service-linked-role"
        " --aws-service-name ecs.amazonaws.com",
        Retry.WAIT,
        "InvalidParameterException: Unable to assume the service linked role. Please verify that"
        " the ECS service linked role exists.",
        _GUIDE + "using-service-linked-roles.html",
        text=r"Unable to assume the service.linked role",
    ),
    # Pulling the image.
    Row(
        "image-architecture",
        "{image} is not made for the task's architecture{platform}",
        Fault.IMAGE,
        "build it for that architecture (docker buildx build --platform), or set the task"
        " definition's runtimePlatform.cpuArchitecture",
        Retry.NEVER,
        "CannotPullContainerError: pull image manifest has been retried 7 time(s): image Manifest"
        " does not contain descriptor matching platform 'linux/amd64'",
        _REPOST + "ecs-task-exec-format-error",
        text=r"descriptor matching platform|exec format error|no match for platform",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "image-name-invalid",
        "{image} is not a valid name of an image",
        Fault.CONFIGURATION,
        "write it as REGISTRY/REPOSITORY:TAG, in lower case",
        Retry.NEVER,
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): invalid"
        " reference format",
        _PULL,
        text=r"CannotPullContainer.*(invalid reference format|repository name must be lowercase)",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "image-format",
        "{image} holds layers of a type that Fargate can't unpack",
        Fault.IMAGE,
        "build it without attestations (docker buildx build --provenance=false), with gzip or zstd"
        " layers",
        Retry.NEVER,
        "CannotPullContainerError: ref pull has been retried 1 time(s): failed to unpack image on"
        " snapshotter overlayfs: failed to extract layer sha256:c0234: failed to get stream"
        " processor for application/vnd.in-toto+json: no processor for media-type: unknown",
        _PULL,
        text=r"no processor for media-type|unsupported media ?type|mediaType .*not supported",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "image-too-large",
        "{image} doesn't fit on the task's disk",
        Fault.IMAGE,
        "make it smaller, or the task's disk larger, 21 to 200 GiB ([Images] EphemeralStorage, or"
        " ephemeralStorage of a task definition of your own)",
        Retry.NEVER,
        "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer"
        " sha256:c0234: write /var/lib/containerd/tmpmounts/1: no space left on device",
        _PULL,
        text=r"no space left on device",
        where=Where.TASK,
    ),
    Row(
        "registry-certificate",
        "the certificate of {registry} is not one that Fargate trusts",
        Fault.CONFIGURATION,
        "give the registry a certificate of a public authority, or mirror the image to ECR",
        Retry.NEVER,
        _RESOLVE + "registry.example.com/ci:1: failed to do request: Head"
        ' "https://registry.example.com/v2/ci/manifests/1": x509: certificate signed by unknown'
        " authority",
        _PULL,
        text=r"CannotPullContainer.*(x509: |tls: |server gave HTTP response to HTTPS)",
        where=Where.TASK,
    ),
    Row(
        "registry-timeout",
        "{registry} did not answer in time for {image}",
        Fault.NETWORK,
        _NO_WAY_OUT,
        Retry.RELAUNCH,
        _RESOLVE + "docker.io/library/alpine:3: failed to do request: Head"
        ' "https://registry-1.docker.io/v2/library/alpine/manifests/3": dial tcp 192.0.2.1:443: i/o'
        " timeout",
        _REPOST + "ecs-fargate-pull-container-error",
        text=rf"CannotPullContainer.*({_TIMEOUTS}|connection issue|network configuration|: EOF\b"
        r"|connection reset|connection refused|invalid argument|is unreachable|nil pointer"
        r"|API error$)",
        where=Where.TASK,
    ),
    Row(
        "registry-unknown-host",
        "no address is known for {registry}",
        Fault.CONFIGURATION,
        "check the image's name, and that the VPC resolves names (enableDnsSupport)",
        Retry.NEVER,
        _RESOLVE + "registry.example.com/ci:1: failed to do request: Head"
        ' "https://registry.example.com/v2/ci/manifests/1": dial tcp: lookup registry.example.com'
        " on 10.0.0.2:53: no such host",
        _PULL,
        text=r"CannotPullContainer.*(no such host|server misbehaving)",
        where=Where.TASK,
    ),
    Row(
        "registry-error",
        "{registry} failed to serve {image}",
        Fault.NETWORK,
        "see the registry's status; an ECR pull-through cache makes you independent of it",
        Retry.RELAUNCH,
        "CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy:"
        " httpReadSeeker: failed open: unexpected status code"
        " https://registry.example.com/v2/ci/blobs/sha256:c0234: 503 Service Unavailable",
        _PULL,
        text=r"CannotPullContainer.*(\b5\d\d (Internal|Bad|Service|Gateway)"
        r"|httpReade?r?Seeker: failed open: unexpected status code(?!.*: ?4\d\d))",
        where=Where.TASK,
    ),
    Row(
        "image-access-denied",
        "{registry} refuses {image}: it is private, or doesn't exist",
        Fault.PERMISSIONS,
        "check its name; for ECR, see the repository's policy and let the execution role pull"
        " (ecr:BatchGetImage); elsewhere, give [Images.RegistryCredentials], or"
        " repositoryCredentials in a task definition of your own",
        Retry.NEVER,
        _RESOLVE
        + "docker.io/example/private:latest: pull access denied, repository does not exist or may"
        " require authorization: server message: insufficient_scope: authorization failed",
        _PULL,
        text=r"CannotPullContainer.*(access denied|authorization failed|: insufficient_scope"
        r"|(: |is )denied\b|40[13] (Forbidden|Unauthorized)|: unauthorized|no basic auth"
        r"|role has the permissions)",
        where=Where.TASK,
    ),
    Row(
        "image-not-found",
        "{registry} has no {image}",
        Fault.IMAGE,
        "check the image's name and tag, and that it was pushed to that registry and Region",
        Retry.NEVER,
        _RESOLVE
        + "docker.io/library/nosuchimage:latest: docker.io/library/nosuchimage:latest: not found",
        _PULL,
        text=r"CannotPullContainer.*(not found|manifest unknown|name unknown|API error \(404\)"
        r"|does not exist)",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "image-pull-failed",
        "{image} could not be pulled",
        Fault.IMAGE,
        "check that it exists in {registry}, that the execution role may pull it, and that the"
        " subnet has a way there",
        Retry.NEVER,
        _RESOLVE + "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci:1",
        _PULL,
        text=r"CannotPull(ECR)?Container",
        where=Where.TASK,
    ),
    # Setting the task up.
    Row(
        "secret-not-found",
        "a secret of the task definition doesn't exist{secret}",
        Fault.CONFIGURATION,
        "check its ARN, with the six characters at its end, and its Region",
        Retry.NEVER,
        _SECRETS + "unable to retrieve secret from asm: service call has been retried 1"
        " time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:ci"
        " from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified"
        " secret.",
        _GUIDE + "resource-not-found-error.html",
        text=r"can.t find the specified secret|can.t retrieve the secret with ARN"
        r"|ParameterNotFound|invalid (ssm )?parameters|marked for deletion",
        where=Where.TASK,
    ),
    Row(
        "secret-key-missing",
        "a secret of the task definition has no key {key}",
        Fault.CONFIGURATION,
        "add the key to the secret's JSON, or mend `secrets` of the task definition's container",
        Retry.NEVER,
        _SECRETS + "unable to retrieve secret from asm: service call has been retried 1"
        " time(s): retrieved secret from Secrets Manager did not contain json key TOKEN",
        _REPOST + "ecs-unable-to-pull-secrets",
        text=r"did not contain json key (?P<key>[\w.-]+)",
        where=Where.TASK,
    ),
    Row(
        "log-group-missing",
        "the log group of the task definition doesn't exist",
        Fault.CONFIGURATION,
        "create it, or set awslogs-create-group in the container's logConfiguration",
        Retry.NEVER,
        "ResourceInitializationError: failed to validate logger args: create stream has been"
        " retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The"
        " specified log group does not exist.",
        _INIT,
        text=r"log group does not exist",
        where=Where.TASK,
    ),
    Row(
        "file-system-unknown-host",
        "the name of the task's EFS file system has no address",
        Fault.CONFIGURATION,
        "give the VPC DNS resolution and host names, and the file system a mount target in the"
        " subnet's Availability Zone",
        Retry.NEVER,
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes:"
        ' stderr: Failed to resolve "fs-0abc.efs.us-east-1.amazonaws.com" - check that your file'
        " system ID is correct",
        _GITHUB + "aws/copilot-cli/issues/5419",
        text=r"EFS utils.*Failed to resolve",
        where=Where.TASK,
    ),
    Row(
        "file-system-path-missing",
        "the directory that the task mounts doesn't exist on its EFS file system",
        Fault.CONFIGURATION,
        "create it, or mend rootDirectory in the task definition's volumes",
        Retry.NEVER,
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes:"
        " stderr: b'mount.nfs4: mounting fs-0abc.efs.us-east-1.amazonaws.com:/ci failed, reason"
        " given by server: No such file or directory' : unsuccessful EFS utils command execution;"
        " code: 32",
        _GITHUB + "56kcloud/terraform-grafana/issues/4",
        text=r"EFS utils.*No such file or directory",
        where=Where.TASK,
    ),
    Row(
        "file-system-mount-failed",
        "the task's EFS file system could not be mounted",
        Fault.NETWORK,
        "if it happens every time, let the file system's security group in on port 2049 from the"
        " task's",
        Retry.RELAUNCH,
        "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes:"
        " stderr: mount.nfs4: Connection reset by peer : unsuccessful EFS utils command execution;"
        " code: 32",
        _GITHUB + "docker-archive/compose-cli/issues/1490",
        text=r"EFS utils",
        where=Where.TASK,
    ),
    Row(
        "setup-timeout",
        "the task could not reach AWS for its secrets, log group or registry token",
        Fault.NETWORK,
        _NO_WAY_OUT,
        Retry.RELAUNCH,
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull"
        " registry auth from Amazon ECR: There is a connection issue between the task and Amazon"
        " ECR. Check your task network configuration. RequestError: send request failed caused by:"
        ' Post "https://api.ecr.us-east-1.amazonaws.com/": dial tcp 192.0.2.1:443: i/o timeout',
        _GUIDE + "verify-connectivity.html",
        text=rf"ResourceInitializationError.*({_TIMEOUTS}|connection issue|network con"
        r"|request send failed|RequestError|signal: killed|maximum number of attempts"
        r"|connection reset|no such host)",
        where=Where.TASK,
    ),
    Row(
        "log-configuration",
        "the log configuration of the task definition is not usable",
        Fault.CONFIGURATION,
        "mend logConfiguration: awslogs needs awslogs-group, awslogs-region and, on Fargate,"
        " awslogs-stream-prefix",
        Retry.NEVER,
        "ResourceInitializationError: failed to validate logger args: unable to get awslogs driver"
        " arguments: awslogs-region is required",
        _GUIDE + "using_awslogs.html",
        text=r"logger args|initialize logging driver",
        where=Where.TASK,
    ),
    Row(
        "environment-file",
        "an environmentFile of the task definition could not be read",
        Fault.CONFIGURATION,
        "check its ARN, and that the execution role may s3:GetObject it",
        Retry.NEVER,
        "ResourceInitializationError: failed to download env files: file download command:"
        " non-empty error stream: failed to download file 1.env: NoSuchKey",
        _GITHUB + "aws/aws-cdk/issues/12720",
        text=r"env files",
        where=Where.TASK,
    ),
    Row(
        "volume-failed",
        "a volume of the task definition could not be made",
        Fault.CONFIGURATION,
        "check `volumes` and `mountPoints` of the task definition",
        Retry.NEVER,
        "CannotCreateVolumeError: the volume mount could not be created",
        _GUIDE + "cannot-create-volume.html",
        text=r"CannotCreateVolumeError",
        where=Where.TASK,
    ),
    # Starting the container.
    Row(
        "entrypoint-not-found",
        "the command that {container} starts with is not in {image}",
        Fault.IMAGE,
        "mend ENTRYPOINT and CMD of the image, or entryPoint and command of the task definition;"
        " a script also needs its interpreter, and no CR at the end of its lines",
        Retry.NEVER,
        "CannotStartContainerError: ResourceInitializationError: failed to create new container"
        " runtime task: failed to create shim: OCI runtime create failed: container_linux.go:380:"
        ' starting container process caused: exec: "-url": executable file not found in $PATH',
        _GITHUB + "jenkinsci/amazon-ecs-plugin/issues/258",
        text=r"executable file not found|OCI runtime.*no such file or direc|no command specified",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "user-not-found",
        "the user of {container} is not in {image}",
        Fault.IMAGE,
        "mend USER of the image or the user that is asked for: a name or a group needs its line in"
        " the image's /etc/passwd or /etc/group, a number needs none",
        Retry.NEVER,
        "CannotStartContainerError: ResourceInitializationError: unable to create new container:"
        " mount callback failed on /tmp/containerd-mount916692511: open"
        " /tmp/containerd-mount916692511/etc/passwd: no such file or directory",
        _GITHUB + "aws-samples/net-modernization/issues/13",
        text=r"unable to find (user|group) |no (users|groups) found"
        r"|etc/(passwd|group): no such file",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "entrypoint-not-executable",
        "the command that {container} starts with may not be executed",
        Fault.IMAGE,
        "make it executable in the image (chmod +x)",
        Retry.NEVER,
        "CannotStartContainerError: Error response from daemon: failed to create shim task: OCI"
        " runtime create failed: runc create failed: unable to start container process: exec:"
        ' "/entrypoint.sh": permission denied: unknown',
        _GITHUB + "nrdg/cloudknot/issues/309",
        text=r"exec:? .*permission denied",
        where=Where.TASK,
        chosen=Chosen.IMAGE,
    ),
    Row(
        "container-start-timeout",
        "{container} did not start in time",
        Fault.AWS,
        "if it happens every time, see what the image's entrypoint does, and the task's size",
        Retry.RELAUNCH,
        "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m",
        _GUIDE + "container-runtime-timeout-error.html",
        text=r"ContainerRuntimeTimeoutError|DockerTimeoutError",
        where=Where.TASK,
    ),
    Row(
        "container-runtime-error",
        "Fargate's own container runtime failed",
        Fault.AWS,
        "nothing, unless it stays so: then ask AWS",
        Retry.RELAUNCH,
        "ContainerRuntimeError: unexpected error of containerd",
        _GUIDE + "container-runtime-error.html",
        text=r"ContainerRuntimeError|CannotInspectContainerError|CannotStopContainerError",
        where=Where.TASK,
    ),
    Row(
        "internal-error",
        "AWS failed while it started the task",
        Fault.AWS,
        "nothing, unless it stays so: then see the AWS Health Dashboard",
        Retry.RELAUNCH,
        "InternalError: an internal error occurred",
        _GUIDE + "stopped-task-error-codes.html",
        text=r"\bInternal ?(Server ?)?(Error|Failure)\b",
        where=Where.TASK,
    ),
    Row(
        "container-start-failed",
        "{container} could not be started",
        Fault.IMAGE,
        "see AWS's words: most often the image's entrypoint, a mount or the memory limit",
        Retry.NEVER,
        "CannotStartContainerError: failed to get container status",
        _GUIDE + "cannot-start-container.html",
        text=r"Cannot(Start|Create)ContainerError|failed to create new container runtime task",
        where=Where.TASK,
    ),
    Row(
        "setup-failed",
        "Fargate could not set the task up",
        Fault.CONFIGURATION,
        "see AWS's words: the task definition's secrets, logs, volumes or execution role",
        Retry.NEVER,
        "ResourceInitializationError: failed to start the container",
        _INIT,
        text=r"ResourceInitializationError",
        where=Where.TASK,
    ),
    Row(
        "failed-to-start",
        "the task failed to start, and AWS doesn't say why",
        Fault.AWS,
        "nothing, unless it stays so: then see the task in the ECS console",
        Retry.RELAUNCH,
        "TaskFailedToStart: Task failed to start",
        _GITHUB + "apache/airflow/issues/15000",
        text=r"^TaskFailedToStart(: Task failed to start)?[.]?($|;)|^Task failed to start[.]?($|;)",
        where=Where.TASK,
    ),
    Row(
        "container-killed",
        "{container} was killed (SIGKILL, {exit_code}){limit}",
        Fault.CONFIGURATION,
        "most often its memory is used up, which AWS doesn't always say: {larger}",
        Retry.NEVER,
        "EssentialContainerExited: Essential container in task exited; container ci-coordinator:"
        " exit code 137",
        _REPOST + "ecs-task-stopped",
        exit_code=137,
        code="EssentialContainerExited|",
        where=Where.TASK,
    ),
    Row(
        "lifetime-over",
        "{container} was up for as long as it may ({exit_code})",
        Fault.CONFIGURATION,
        "raise [Fargate] MaxLifetime if jobs may take that long; without it, it is the job's"
        " timeout and an hour",
        Retry.NEVER,
        "EssentialContainerExited: Essential container in task exited; container ci-coordinator:"
        " exit code 124",
        "https://www.gnu.org/software/coreutils/manual/html_node/timeout-invocation.html",
        exit_code=124,
        text=r"^EssentialContainerExited\b|Essential container in task exited",
        where=Where.TASK,
    ),
    Row(
        "container-exited",
        "{container} ended by itself ({exit_code})",
        Fault.IMAGE,
        "its entrypoint must keep the SSH server running in the foreground; the container's log"
        " tells why it ended",
        Retry.NEVER,
        "EssentialContainerExited: Essential container in task exited; container ci-coordinator:"
        " exit code 1",
        _REPOST + "ecs-task-stopped",
        text=r"^EssentialContainerExited\b|Essential container in task exited",
        where=Where.TASK,
    ),
    # Errors of API calls.
    Row(
        "no-container-instances",
        "the cluster has no default capacity provider strategy, so ECS looked for EC2 instances",
        Fault.CONFIGURATION,
        "give it one with FARGATE or FARGATE_SPOT (aws ecs put-cluster-capacity-providers), or list"
        " them under [[Capacity]]",
        Retry.NEVER,
        "InvalidParameterException: No Container Instances were found in your cluster.",
        "https://docs.gitlab.com/runner/configuration/runner_autoscale_aws_fargate/",
        text=r"No Container Instances were found",
    ),
    Row(
        "capacity-provider-missing",
        "the cluster doesn't have the capacity provider that was asked for",
        Fault.CONFIGURATION,
        "associate FARGATE and FARGATE_SPOT with it (aws ecs put-cluster-capacity-providers)",
        Retry.NEVER,
        "InvalidParameterException: The specified capacity provider 'FARGATE_SPOT' was not found."
        " Specify a valid name or ARN and try again.",
        _GITHUB + "dask/dask-cloudprovider/pull/348",
        text=r"capacity provider.*(not found|not associated|not active|does not exist)",
    ),
    Row(
        "pass-role-denied",
        "the manager may not pass a role of the task definition: {denied}",
        Fault.PERMISSIONS,
        "{grant}",
        Retry.NEVER,
        "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not"
        " authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/execution"
        " because no identity-based policy allows the iam:PassRole action",
        _GUIDE + "security_iam_troubleshoot.html",
        text=r"\biam:PassRole\b",
        where=Where.API,
    ),
    Row(
        "manager-denied",
        "the manager lacks a right: {denied}",
        Fault.PERMISSIONS,
        "{grant}",
        Retry.NEVER,
        "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not"
        " authorized to perform: ecs:RunTask on resource:"
        " arn:aws:ecs:us-east-1:123456789012:task-definition/ci:1 because no identity-based policy"
        " allows the ecs:RunTask action",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html",
        text=r"^(AccessDenied(Exception)?|UnauthorizedOperation|NotAuthorized|OptInRequired)\b"
        r"|not authorized to perform",
        where=Where.API,
    ),
    Row(
        "credentials-expired",
        "the manager's AWS credentials have expired",
        Fault.PERMISSIONS,
        "renew them; a role of the instance or task renews itself",
        Retry.NEVER,
        "ExpiredTokenException: The security token included in the request is expired",
        _COMMON,
        code=r"ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired",
        where=Where.API,
    ),
    Row(
        "credentials-invalid",
        "AWS doesn't accept the manager's credentials",
        Fault.PERMISSIONS,
        "check the access key, its account and partition, and the manager's clock",
        Retry.NEVER,
        "UnrecognizedClientException: The security token included in the request is invalid.",
        _COMMON,
        code=r"UnrecognizedClientException|InvalidClientTokenId|InvalidSignatureException"
        r"|SignatureDoesNotMatch|IncompleteSignature(Exception)?|AuthFailure"
        r"|MissingAuthenticationToken(Exception)?",
        where=Where.API,
    ),
    Row(
        "credentials-missing",
        "the manager has no AWS credentials",
        Fault.PERMISSIONS,
        "give its instance or task a role, or its environment AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY",
        Retry.NEVER,
        "Unable to locate credentials",
        "https://docs.aws.amazon.com/boto3/latest/guide/credentials.html",
        text=r"Unable to locate credentials|Partial credentials|Error when retrieving credentials",
        where=Where.API,
    ),
    Row(
        "account-blocked",
        "AWS has blocked the account",
        Fault.PERMISSIONS,
        "ask AWS Support",
        Retry.NEVER,
        "BlockedException: Your AWS account was blocked. Contact AWS Support.",
        _RUN_TASK,
        code=r"BlockedException|Blocked",
        where=Where.API,
    ),
    Row(
        "cluster-not-found",
        "the cluster doesn't exist, or is not active",
        Fault.CONFIGURATION,
        "check [Fargate] Cluster and Region, and whose account the credentials are of",
        Retry.NEVER,
        "ClusterNotFoundException: Cluster not found.",
        _RUN_TASK,
        text=r"^ClusterNotFoundException\b|cluster was inactive",
        where=Where.API,
    ),
    Row(
        "task-definition-not-found",
        "the task definition doesn't exist, or is not active",
        Fault.CONFIGURATION,
        "check its name and revision; without a revision the latest active one is taken",
        Retry.NEVER,
        "ClientException: TaskDefinition not found.",
        _RUN_TASK,
        text=r"Task ?Definition (is inactive|not found|does not exist)"
        r"|Unable to (describe|find) task ?definition|task definition does not exist",
        where=Where.API,
        chosen=Chosen.TASK_DEFINITION,
    ),
    Row(
        "container-name",
        "the task definition has no container {name}",
        Fault.CONFIGURATION,
        "name the job's container so, or set [Fargate] ContainerName",
        Retry.NEVER,
        "InvalidParameterException: Override for container named ci-coordinator is not a container"
        " in the TaskDefinition.",
        "https://docs.gitlab.com/runner/configuration/runner_autoscale_aws_fargate/",
        text=r"Override for container named (?P<name>\S+) is not a container",
        where=Where.API,
        chosen=Chosen.TASK_DEFINITION,
    ),
    Row(
        "task-definition-unfit",
        "the task definition is not one for Fargate",
        Fault.CONFIGURATION,
        "it needs networkMode awsvpc, requiresCompatibilities FARGATE, and cpu and memory of"
        " Fargate's table",
        Retry.NEVER,
        "InvalidParameterException: Task definition does not support launch_type FARGATE.",
        _GUIDE + "fargate-tasks-services.html",
        text=r"does not support launch_type|not valid for the given networkMode"
        r"|not compatible with the selected compute|No Fargate configuration exists"
        r"|Invalid '(cpu|memory)' setting|Invalid CPU or memory",
        chosen=Chosen.TASK_DEFINITION,
    ),
    Row(
        "platform-unknown",
        "the platform version doesn't exist",
        Fault.CONFIGURATION,
        "leave PlatformVersion away, or name one that AWS lists",
        Retry.NEVER,
        "PlatformUnknownException: The specified platform version doesn't exist.",
        _RUN_TASK,
        code="PlatformUnknownException",
        where=Where.API,
        chosen=Chosen.PLATFORM_VERSION,
    ),
    Row(
        "platform-too-old",
        "the platform version can't do what the task definition asks for",
        Fault.CONFIGURATION,
        "take a newer PlatformVersion, or leave it away (EFS and ephemeralStorage need 1.4.0)",
        Retry.NEVER,
        "PlatformTaskDefinitionIncompatibilityException: One or more of the requested capabilities"
        " are not supported.",
        _GITHUB + "CircleCI-Public/aws-ecs-orb/issues/121",
        code="PlatformTaskDefinitionIncompatibilityException",
        where=Where.API,
        chosen=Chosen.PLATFORM_VERSION,
    ),
    Row(
        "unsupported",
        "this Region's Fargate can't do what was asked for",
        Fault.CONFIGURATION,
        "check the Region, and the task definition's architecture and size",
        Retry.NEVER,
        "UnsupportedFeatureException: The specified task is not supported in this region.",
        _RUN_TASK,
        code="UnsupportedFeatureException",
        where=Where.API,
    ),
    Row(
        "token-conflict",
        "another launch has used this clientToken",
        Fault.AWS,
        "cleanup stops the task that the token belongs to; if it stays so, report it",
        Retry.NEVER,
        "ConflictException: The request could not be processed because of conflict in the current"
        " state of the resource.",
        _API + "ECS_Idempotency.html",
        code="ConflictException",
        where=Where.API,
    ),
    Row(
        "aws-failed",
        "AWS failed to serve {operation}",
        Fault.AWS,
        "nothing, unless it stays so: see the AWS Health Dashboard",
        Retry.WAIT,
        "ServerException: Service Unavailable. Please try again later.",
        _RUN_TASK,
        code=r"ServerException|InternalFailure|InternalError|InternalServerError|ServiceUnavailable"
        r"(Exception)?|Unavailable|RequestTimeout(Exception)?|429|5\d\d",
        where=Where.API,
    ),
    Row(
        "tls-failed",
        "no TLS connection to AWS could be made for {operation}",
        Fault.NETWORK,
        "give the manager the CA certificates of its proxy (AWS_CA_BUNDLE)",
        Retry.NEVER,
        "SSL validation failed for https://ecs.us-east-1.amazonaws.com/ [SSL:"
        " CERTIFICATE_VERIFY_FAILED] certificate verify failed",
        "https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-troubleshooting.html",
        text=r"SSL validation failed|CERTIFICATE_VERIFY_FAILED",
        where=Where.API,
    ),
    Row(
        "local-unreachable",
        "nothing answers {operation} at EndpointURL, an address of this machine's own",
        Fault.CONFIGURATION,
        "see whether `fargate local up` still runs, and at that port",
        Retry.WAIT,
        'Could not connect to the endpoint URL: "http://127.0.0.1:36019/"',
        "https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-troubleshooting.html",
        text=r'Could not connect to the endpoint URL: "?https?://(localhost|127\.[0-9.]+|\[::1\])[:/"]',
        where=Where.API,
    ),
    Row(
        "aws-unreachable",
        "AWS could not be reached for {operation}",
        Fault.NETWORK,
        "check the manager's way to the ECS endpoint of its Region: NAT, VPC endpoint, HTTPS_PROXY,"
        " EndpointURL",
        Retry.WAIT,
        'Could not connect to the endpoint URL: "https://ecs.us-east-1.amazonaws.com/"',
        "https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-troubleshooting.html",
        text=r"Could not connect to the endpoint|(Connect|Read) timeout|Connection was closed"
        r"|Failed to connect to proxy|connection.*(aborted|reset)|HTTP Client raised",
        where=Where.API,
    ),
    Row(
        "answer-odd",
        "what answered {operation} is not AWS",
        Fault.NETWORK,
        "see what is between the manager and AWS: a proxy or a portal (HTTPS_PROXY, NO_PROXY), or"
        " another server at EndpointURL",
        Retry.WAIT,
        "the answer is none of AWS's: HTTP 403 without an error code, text/html",
        _COMMON,
        text=r"^the answer is none of AWS's: ",
        where=Where.API,
    ),
    Row(
        "parameters-invalid",
        "a parameter of {operation} has the wrong form",
        Fault.CONFIGURATION,
        "mend the value of fargate.toml that AWS's library complains about",
        Retry.NEVER,
        "Parameter validation failed: Invalid length for parameter cluster",
        "https://docs.aws.amazon.com/boto3/latest/guide/error-handling.html",
        text=r"^Parameter validation failed",
        where=Where.API,
    ),
    Row(
        "request-refused",
        "ECS refuses {operation}",
        Fault.CONFIGURATION,
        "see AWS's words: most often a value of fargate.toml or of the task definition",
        Retry.NEVER,
        "InvalidParameterException: securityGroups can have at most 5 items.",
        _RUN_TASK,
        code=r"InvalidParameter(Exception|Value|Combination)?|ClientException|ValidationException"
        r"|ValidationError|SerializationException|.*NotFound(Exception)?|4\d\d",
        where=Where.API,
    ),
)
