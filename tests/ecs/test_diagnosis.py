"""Each case is written by hand from what AWS, or those who met it, published: never from the table.

A case's last word is where its text comes from: `guide/X` is a page of the ECS Developer Guide,
`api/X` one of its API Reference, `repost/X` an article of AWS re:Post's knowledge centre, `gh:X` a
thread on GitHub, `gl:X` one on GitLab.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs import denials, diagnosis, facts, sizes, verdict_table, words
from fargate_driver.ecs.verdict import Chosen, ExitKind, Fault, Retry, Row, Verdict, Where

S, J = ExitKind.SYSTEM, ExitKind.JOB
TD, PV, IMG = Chosen.TASK_DEFINITION, Chosen.PLATFORM_VERSION, Chosen.IMAGE
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:sts::123456789012:assumed-role/execution/0123abc"
SECRETS = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource"
    " retrieval failed: "
)
LOGS = "ResourceInitializationError: failed to validate logger args: "
EFS = "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: "
PULL = "CannotPullContainerError: "
RESOLVE = PULL + "pull image manifest has been retried 5 time(s): failed to resolve ref "
SHIM = (
    "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime"
    " task: failed to create shim: OCI runtime create failed: "
)

# What a stopped task's stoppedReason says, with stopCode TaskFailedToStart.
STARTS = [
    # The network and disk of the task.
    ("Timeout waiting for network interface provisioning to complete.",
     "network-interface-timeout", "aws", "relaunch", S, "gh:apache/airflow/issues/15000"),
    ("Network interface provision complete error timeout wait for network interface provision",
     "network-interface-timeout", "aws", "relaunch", S, "gh:dagster-io/dagster/pull/26183"),
    ("Timeout waiting for EphemeralStorage provisioning to complete.",
     "storage-timeout", "aws", "relaunch", S, "gh:dagster-io/dagster/pull/26183"),
    ("Unexpected EC2 error while attempting to Create Network Interface with public IP assignment"
     " enabled in subnet 'subnet-0abc': InternalError",
     "network-interface-failed", "aws", "relaunch", S, "gh:dagster-io/dagster/pull/26183"),
    # EC2's codes for rights and ids are nothing that another task would fare better with.
    ("Unexpected EC2 error while attempting to Create Network Interface with public IP assignment"
     " enabled in subnet 'subnet-0abc': AuthFailure",
     "network-interface-denied", "permissions", "never", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc':"
     " InvalidSubnetID.NotFound",
     "subnet-unknown", "configuration", "never", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc':"
     " InvalidVpcID.NotFound",
     "network-part-missing", "configuration", "never", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc':"
     " InsufficientFreeAddressesInSubnet",
     "subnet-full", "capacity", "next-capacity", S, "guide/failed-to-start-error"),
    ("Unexpected EC2 error while attempting to Create Network Interface with public IP assignment"
     " enabled in subnet 'subnet-0abc",
     "subnet-full", "capacity", "next-capacity", S, "guide/failed-to-start-error"),
    ("InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses"
     " to satisfy the request.",
     "subnet-full", "capacity", "next-capacity", S, "gh:aws/amazon-vpc-cni-k8s/issues/40"),
    ("Unexpected EC2 error while attempting to tag the network interface: TagPolicyViolation",
     "network-interface-denied", "permissions", "never", S, "guide/failed-to-start-error"),
    ("ResourceInitializationError: failed to configure ENI: failed to setup regular eni: netplugin"
     " failed with no error message",
     "network-interface-failed", "aws", "relaunch", S, "guide/resource-initialization-error"),
    # Pulling the image: names and rights.
    (f"{RESOLVE}docker.io/library/nosuch:latest: docker.io/library/nosuch:latest: not found",
     "image-not-found", "image", "never", S, "guide/task_cannot_pull_image"),
    (f"{PULL}API error (404): repository {ECR}/ci not found",
     "image-not-found", "image", "never", S, "guide/task_cannot_pull_image"),
    (f"{RESOLVE}docker.io/example/ci:1: pull access denied, repository does not exist or may"
     f" require"
     " authorization: server message: insufficient_scope: authorization failed",
     "image-access-denied", "permissions", "never", S, "guide/task_cannot_pull_image"),
    (f"{PULL}inspect image has been retried 1 time(s): failed to resolve ref \"{ECR}/ci\":"
     f" unexpected"
     " status code [manifests 6981141]: 403 Forbidden",
     "image-access-denied", "permissions", "never", S, "gh:aws/aws-cdk/issues/14457"),
    (f"{PULL}The task can't pull the image. Check that the role has the permissions to pull images"
     " from the registry.",
     "image-access-denied", "permissions", "never", S, "guide/task_cannot_pull_image"),
    (f"{PULL}AccessDeniedException: User: {ROLE} is not authorized to perform:"
     " ecr:GetAuthorizationToken on resource: * status code: 400",
     "registry-credentials-denied", "permissions", "never", S, "repost/ecs-unable-to-pull-secrets"),
    (f"{RESOLVE}{ECR}/ci:1: pull access denied for {ECR}/ci, repository does not exist or may"
     f" require 'docker login': denied: User: {ROLE} is not authorized to perform:"
     f" ecr:BatchGetImage"
     " on resource: arn:aws:ecr:us-east-1:123456789012:repository/ci because no resource-based"
     " policy allows the ecr:BatchGetImage action",
     "execution-role-denied", "permissions", "never", S, "gh:aws/amazon-ecs-agent/pull/4181"),
    (f"{RESOLVE}{ECR}/ci:1", "image-pull-failed", "image", "never", S,
     "guide/task_cannot_pull_image"),
    # Pulling the image: what is in it.
    (f"{PULL}pull image manifest has been retried 7 time(s): image Manifest does not contain"
     " descriptor matching platform 'linux/amd64'",
     "image-architecture", "image", "never", S, "repost/ecs-task-exec-format-error"),
    (f"{PULL}ref pull has been retried 1 time(s): failed to unpack image on snapshotter overlayfs:"
     " failed to extract layer sha256:c02: failed to get stream processor for"
     " application/vnd.in-toto+json: no processor for media-type: unknown",
     "image-format", "image", "never", S, "guide/task_cannot_pull_image"),
    (f"{PULL}write /var/lib/docker/tmp/GetImageBlob111111111: no space left on device",
     "image-too-large", "image", "never", S, "guide/task_cannot_pull_image"),
    (f"{PULL}ERROR: toomanyrequests: Too Many Requests.",
     "registry-throttled", "network", "wait", S, "guide/task_cannot_pull_image"),
    (f"{PULL}toomanyrequests: Rate exceeded",
     "registry-throttled", "network", "wait", S, "gh:aws/aws-lambda-web-adapter/issues/429"),
    (f"{PULL}httpReadSeeker: failed open: unexpected status code"
     " https://registry-1.docker.io/v2/x/manifests/sha256:86e: 429 Too Many Requests - Server"
     " message: toomanyrequests: You have reached your pull rate limit. You may increase the limit"
     " by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
     "registry-pull-limit", "image", "never", S, "gh:apptension/saas-boilerplate/issues/204"),
    # Pulling the image: the way to the registry.
    (f"{RESOLVE}docker.io/tryretool/backend:2.110.5: failed to do request: Head"
     ' "https://registry-1.docker.io/v2/tryretool/backend/manifests/2.110.5": dial tcp'
     " 192.0.2.1:443: i/o timeout",
     "registry-timeout", "network", "relaunch", S,
     "gh:ActionIQ/terraform-aws-retool-ecs-fargate/issues/20"),
    (f"{PULL}API error (500): Get https://{ECR}/v2/: net/http: request canceled while waiting for"
     " connection (Client.Timeout exceeded while awaiting headers)",
     "registry-timeout", "network", "relaunch", S, "gh:aws/amazon-ecs-agent/issues/1128"),
    (f"{PULL}The task cannot pull 'ci:1' from the Amazon ECR repository '{ECR}/ci'. There is a"
     " connection issue between the task and Amazon ECR. Check your task network configuration.",
     "registry-timeout", "network", "relaunch", S, "guide/task_cannot_pull_image"),
    (f"{PULL}pull command failed: panic: runtime error: invalid memory address or nil pointer"
     " dereference",
     "registry-timeout", "network", "relaunch", S, "guide/task_cannot_pull_image"),
    (f"{PULL}context canceled", "registry-timeout", "network", "relaunch", S,
     "guide/task_cannot_pull_image"),
    (f"{RESOLVE}registry.example.com/ci:1: failed to do request: Head"
     ' "https://registry.example.com/v2/ci/manifests/1": EOF',
     "registry-timeout", "network", "relaunch", S, "gh:dagster-io/dagster/pull/26183"),
    (f"{PULL}ref pull has been retried 1 time(s): failed to copy: httpReaderSeeker: failed open:"
     " unexpected status code https://registry-1.docker.io/v2/amazon/x/manifests/sha256:2d96...",
     "registry-error", "network", "relaunch", S, "gh:aws/aws-xray-daemon/issues/146"),
    # Secrets, logs, volumes.
    (f"{SECRETS}unable to retrieve secrets from ssm: service call has been retried 5 time(s):"
     " RequestCanceled: request context canceled caused by: context deadli...",
     "setup-timeout", "network", "relaunch", S,
     "gh:umotif-public/terraform-aws-ecs-fargate/issues/50"),
    ("ResourceInitializationError: unable to pull secrets or registry auth: pull command failed: :"
     " signal: killed",
     "setup-timeout", "network", "relaunch", S, "repost/ecs-unable-to-pull-secrets"),
    ("ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull"
     " registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR."
     " Check your task network configuration. RequestError: send request failed caused by: Post"
     ' "https://api.ecr.us-east-1.amazonaws.com/": dial tcp 192.0.2.1:443: i/o timeout',
     "setup-timeout", "network", "relaunch", S, "guide/verify-connectivity"),
    (f"{SECRETS}unable to retrieve secret from asm: service call has been retried 1 time(s): failed"
     " to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:ci from secrets"
     " manager:"
     f" AccessDeniedException: User: {ROLE} is not authorized to perform:"
     " secretsmanager:GetSecretValue on resource:"
     " arn:aws:secretsmanager:us-east-1:123456789012:secret:ci because no identity-based policy"
     " allows the secretsmanager:GetSecretValue action",
     "execution-role-denied", "permissions", "never", S, "repost/ecs-unable-to-pull-secrets"),
    (f"{SECRETS}unable to retrieve secret from asm: AccessDeniedException: Access to KMS is not"
     " allowed",
     "execution-role-denied", "permissions", "never", S, "gh:aws/aws-cdk/issues/17156"),
    (f"{SECRETS}unable to retrieve secrets from ssm: service call has been retried 1 time(s):"
     " operation error SSM: GetParameters, https response error StatusCode: 400, RequestID: 0, api"
     " error ThrottlingException: Rate exceeded",
     "throttled", "aws", "wait", S, "guide/throttling"),
    (f"{SECRETS}unable to retrieve secret from asm: service call has been retried 1 time(s):"
     " retrieved secret from Secrets Manager did not contain json key MY_SECRET",
     "secret-key-missing", "configuration", "never", S, "repost/ecs-unable-to-pull-secrets"),
    ("ResourceNotFoundException: The task can't retrieve the secret with ARN"
     " 'arn:aws:secretsmanager:us-east-1:123456789012:secret:ci' from AWS Secrets Manager. Check"
     " whether the secret exists in the specified Region.",
     "secret-not-found", "configuration", "never", S, "guide/resource-not-found-error"),
    (f"{LOGS}create stream has been retried 1 times: failed to create Cloudwatch log stream:"
     f" AccessDeniedException: User: {ROLE} is not authorized to perform: logs:CreateLogStream on"
     " resource: arn:aws:logs:us-east-1:123456789012:log-group:ci:log-stream:x",
     "execution-role-denied", "permissions", "never", S,
     "gh:doctorray117/minecraft-ondemand/issues/12"),
    (f"{LOGS}create stream has been retried 1 times: failed to create Cloudwatch log stream:"
     " ResourceNotFoundException: The specified log group does not exist.",
     "log-group-missing", "configuration", "never", S, "guide/resource-initialization-error"),
    (f"{LOGS}The task cannot find the Amazon CloudWatch log group defined in the task definition."
     " There is a connection issue between the task and Amazon CloudWatch. Check your network"
     " configuration. signal: killed",
     "setup-timeout", "network", "relaunch", S, "guide/resource-initialization-error"),
    (f"{LOGS}unable to get awslogs driver arguments: awslogs-region is required",
     "log-configuration", "configuration", "never", S, "guide/using_awslogs"),
    ("ResourceInitializationError: failed to download env files: file download command: non-empty"
     " error stream: failed to download file 1.env: failed to write to a temporary file:"
     " AccessDenied: Access Denied",
     "execution-role-denied", "permissions", "never", S, "gh:aws/aws-cdk/issues/12720"),
    ("ResourceInitializationError: failed to download env files: file download command: non-empty"
     " error stream: RequestCanceled: request context cancelled caused by: context deadline"
     " exceeded",
     "setup-timeout", "network", "relaunch", S, "gh:aws/aws-cdk/issues/12720"),
    (f'{EFS}stderr: Failed to resolve "fs-0abc.efs.us-east-1.amazonaws.com" - check that your file'
     " system ID is correct, and ensure that the VPC has an EFS mount target for this file system"
     " ID.",
     "file-system-unknown-host", "configuration", "never", S, "gh:aws/copilot-cli/issues/5419"),
    (f"{EFS}stderr: mount.nfs4: Connection reset by peer : unsuccessful EFS utils command"
     f" execution;"
     " code: 32",
     "file-system-mount-failed", "network", "relaunch", S,
     "gh:docker-archive/compose-cli/issues/1490"),
    (f"{EFS}stderr: b'mount.nfs4: mounting fs-0abc.efs.us-east-1.amazonaws.com:/x failed, reason"
     " given by server: No such file or directory' : unsuccessful EFS utils command execution;"
     " code: 32",
     "file-system-path-missing", "configuration", "never", S,
     "gh:56kcloud/terraform-grafana/issues/4"),
    ("CannotCreateVolumeError: volume mount", "volume-failed", "configuration", "never", S,
     "guide/cannot-create-volume"),
    # Starting the container.
    (f'{SHIM}container_linux.go:380: starting container process caused: exec: "-url": executable'
     " file not found in",
     "entrypoint-not-found", "image", "never", S, "gh:jenkinsci/amazon-ecs-plugin/issues/258"),
    (f'{SHIM}container_linux.go:370: starting container process caused: exec: "/opt/run.sh": stat'
     " /opt/run.sh...no such file or direct...",
     "entrypoint-not-found", "image", "never", S, "gh:aws/amazon-ecs-agent/issues/2954"),
    ("CannotStartContainerError: ResourceInitializationError: unable to create new container:"
     " mount callback failed on /tmp/containerd-mount916692511: open"
     " /tmp/containerd-mount916692511/etc/passwd: no such file or directory",
     "user-not-found", "image", "never", S, "gh:aws-samples/net-modernization/issues/13"),
    ("CannotStartContainerError: Error response from daemon: linux spec user: unable to find user"
     " ci: no matching entries in passwd file",
     "user-not-found", "image", "never", S, "gh:moby/moby/issues/22323"),
    ("CannotStartContainerError: Error response from daemon: failed to create shim task: OCI"
     " runtime"
     ' create failed: runc create failed: unable to start container process: exec: "/home/x.py":'
     " permission denied: unknown",
     "entrypoint-not-executable", "image", "never", S, "gh:nrdg/cloudknot/issues/309"),
    ("CannotStartContainerError: failed to get container status: unknown",
     "container-start-failed", "image", "never", S, "guide/cannot-start-container"),
    ("ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m:"
     " unknown",
     "container-start-timeout", "aws", "relaunch", S, "guide/container-runtime-timeout-error"),
    ("ContainerRuntimeError: containerd", "container-runtime-error", "aws", "relaunch", S,
     "guide/container-runtime-error"),
    ("CannotInspectContainerError: containerd", "container-runtime-error", "aws", "relaunch", S,
     "guide/cannot-inspect-container"),
    ("InternalError: unknown", "internal-error", "aws", "relaunch", S,
     "guide/failed-to-start-error"),
    ("Task failed to start", "failed-to-start", "aws", "relaunch", S,
     "gh:aws/amazon-ecs-agent/issues/1654"),
    ("", "failed-to-start", "aws", "relaunch", S, "gh:aws/amazon-ecs-agent/issues/1654"),
    # Rarer ones; the words of the registry's client are containerd's and Go's.
    ("Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0abc':"
     " NetworkInterfaceLimitExceeded",
     "network-interface-quota", "capacity", "next-capacity", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("The subnet subnet-0abc does not have enough available IP addresses",
     "subnet-full", "capacity", "next-capacity", S, "guide/failed-to-start-error"),
    (f"{PULL}pull image manifest has been retried 1 time(s): invalid reference format",
     "image-name-invalid", "configuration", "never", S, "gh:distribution/reference"),
    (f"{RESOLVE}registry.example.com/ci:1: failed to do request: Head"
     ' "https://registry.example.com/v2/ci/manifests/1": tls: failed to verify certificate: x509:'
     " certificate signed by unknown authority",
     "registry-certificate", "configuration", "never", S, "gh:golang/go crypto/x509"),
    (f"{RESOLVE}registry.example.com/ci:1: failed to do request: Head"
     ' "https://registry.example.com/v2/ci/manifests/1": dial tcp: lookup registry.example.com on'
     " 10.0.0.2:53: no such host",
     "registry-unknown-host", "configuration", "never", S, "gh:golang/go net"),
    (f"{EFS}stderr: b'mount.nfs4: access denied by server while mounting 127.0.0.1:/'",
     "file-system-denied", "permissions", "never", S, "guide/efs-volumes"),
    ("ResourceInitializationError: failed to download env files: file download command: non-empty"
     " error stream: NoSuchKey: The specified key does not exist.",
     "environment-file", "configuration", "never", S, "gh:aws/aws-cdk/issues/12720"),
    (f"{SECRETS}unable to retrieve secrets from ssm: service call has been retried 1 time(s):"
     " invalid ssm parameters: /ci/token",
     "secret-not-found", "configuration", "never", S, "gh:aws/amazon-ecs-agent ssm"),
    ("ResourceInitializationError: failed to start the container: of the local Fargate",
     "setup-failed", "configuration", "never", S, "fargate_driver.local.reasons"),
    ("Host EC2 (instance i-0abc) terminated.", "maintenance", "aws", "relaunch", S,
     "guide/stopped-task-errors"),
    ("The moon is in the wrong house.", "unknown", "unknown", "never", S, "nowhere"),
]  # fmt: skip

# stopCode, stoppedReason, the containers' (name, exit code, reason).
ENDS = [
    ("SpotInterruption", "Your Spot Task was interrupted.", [("ci-coordinator", 137, None)],
     "spot-interruption", "spot", "next-capacity", S, "repost/fargate-spot-termination-notice"),
    ("TerminationNotice", "Your Spot Task was interrupted.", [],
     "spot-interruption", "spot", "next-capacity", S, "guide/fargate-capacity-providers"),
    ("TerminationNotice", "", [], "termination-notice", "aws", "relaunch", S, "api/API_Task"),
    ("ServiceSchedulerInitiated",
     "ECS is performing maintenance on the underlying infrastructure hosting the task", [],
     "maintenance", "aws", "relaunch", S, "guide/task-maintenance"),
    ("UserInitiated", "Task stopped by user", [("ci-coordinator", 137, None)],
     "stopped-by-user", "operator", "never", S, "repost/ecs-task-stopped"),
    # The driver's own reason for StopTask quotes what it gave up on.
    ("UserInitiated", "job 7: it could not start: SpotInterruption: Your Spot Task was"
     " interrupted.",
     [], "stopped-by-user", "operator", "never", S, "api/API_StopTask"),
    ("ServiceSchedulerInitiated",
     "Scaling activity initiated by (deployment ecs-svc/1234567890123456789)", [],
     "stopped-by-service", "operator", "never", S, "repost/ecs-task-stopped"),
    ("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group arn:aws:x)", [],
     "stopped-by-service", "operator", "never", S, "repost/ecs-task-stopped"),
    ("ServiceSchedulerInitiated", "Task failed container health checks", [],
     "unhealthy", "image", "never", S, "repost/ecs-task-stopped"),
    ("EssentialContainerExited", "Essential container in task exited",
     [("ci-coordinator", 137, "OutOfMemoryError: Container killed due to memory usage")],
     "container-out-of-memory", "configuration", "never", S, "guide/out-of-memory"),
    ("EssentialContainerExited",
     "OutOfMemoryError: container killed due to memory usage", [("ci-coordinator", 137, None)],
     "container-out-of-memory", "configuration", "never", S, "guide/out-of-memory"),
    ("EssentialContainerExited", "Essential container in task exited",
     [("ci-coordinator", 137, None)],
     "container-killed", "configuration", "never", S, "repost/ecs-task-stopped"),
    ("EssentialContainerExited", "Essential container in task exited",
     [("ci-coordinator", 1, None)],
     "container-exited", "image", "never", S, "repost/ecs-task-stopped"),
    ("EssentialContainerExited", "Essential container in task exited",
     [("ci-coordinator", 0, None)],
     "container-exited", "image", "never", S, "repost/ecs-task-stopped"),
    # How the driver's own first process ends then.
    ("EssentialContainerExited", "Essential container in task exited",
     [("ci-coordinator", 124, None)],
     "lifetime-over", "configuration", "never", S, "manual/html_node/timeout-invocation.html"),
    # ECS kills the side container because the job's own one ended.
    ("EssentialContainerExited", "Essential container in task exited",
     [("log-router", 137, None), ("ci-coordinator", 1, None)],
     "container-exited", "image", "never", S, "repost/ecs-task-stopped"),
    ("EssentialContainerExited", "Essential container in task exited",
     [("ci-coordinator", None, f"{RESOLVE}docker.io/library/nosuch:1: not found")],
     "image-not-found", "image", "never", S, "guide/task_cannot_pull_image"),
    ("InfrastructureHealth", "", [], "maintenance", "aws", "relaunch", S, "api/API_Task"),
    ("", "", [], "unknown", "unknown", "never", S, "gh:aws/amazon-ecs-agent/issues/1654"),
]  # fmt: skip

# RunTask's failures: reason, detail.
FAILURES = [
    ("Capacity is unavailable at this time. Please try again later or in a different availability"
     " zone", "", "capacity-unavailable", "capacity", "next-capacity",
     "repost/ecs-fargate-runtask-capacity"),
    ("You've reached the limit on the number of tasks you can run concurrently", "",
     "quota-reached", "capacity", "next-capacity", "guide/service-event-messages-list"),
    ("You’ve reached the limit on the number of vCPUs you can run concurrently", "",
     "quota-reached", "capacity", "next-capacity", "guide/service-event-messages-list"),
    ("The requested CPU configuration is above your limit", "",
     "size-above-quota", "capacity", "never", "gl:fargate/issues/41"),
    ("The requested MEMORY configuration is above your limit.", "",
     "size-above-quota", "capacity", "never", "guide/service-event-messages-list"),
    ("RESOURCE:ENI", "", "instances-full", "capacity", "next-capacity",
     "guide/api_failures_messages"),
    ("RESOURCE:MEMORY", "", "instances-full", "capacity", "next-capacity",
     "guide/api_failures_messages"),
    ("AGENT", "", "instance-agent-disconnected", "capacity", "next-capacity",
     "guide/api_failures_messages"),
    ("ATTRIBUTE", "ecs.capability.task-eni", "instances-unfit", "configuration", "next-capacity",
     "gh:aws/amazon-ecs-agent/issues/1423"),
    ("MISSING", "", "task-missing", "aws", "wait", "gh:dask/dask-cloudprovider/issues/483"),
    ("Internal error.", "", "placement-internal-error", "aws", "next-capacity",
     "guide/service-event-messages-list"),
    ("something new", "of 2031", "unknown", "unknown", "never", "nowhere"),
]  # fmt: skip

# Errors: code, message, HTTP status, what the job's author chose.
ERRORS = [
    ("ThrottlingException", "Rate exceeded", 400, (), "throttled", "aws", "wait", S,
     "guide/throttling"),
    ("ThrottlingException", "", 400, (), "throttled", "aws", "wait", S, "guide/throttling"),
    ("RequestLimitExceeded", "Request limit exceeded.", 503, (), "throttled", "aws", "wait", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("InvalidParameterException", "Error retrieving subnet information for [subnet-0abc]: Rate"
     " exceeded (ErrorCode: Throttling)", 400, (), "throttled", "aws", "wait", S,
     "gh:dagster-io/dagster/issues/33439"),
    ("ClientException", "Too many concurrent attempts to create a new revision of the specified"
     " family.", 400, (), "task-definition-revisions-throttled", "aws", "wait", S,
     "gh:PrefectHQ/prefect/issues/16485"),
    ("ServerException", "Service Unavailable. Please try again later.", 500, (), "aws-failed",
     "aws", "wait", S, "api/API_RunTask"),
    ("", "no message", 502, (), "aws-failed", "aws", "wait", S, "api/CommonErrors"),
    ("Quite New", "never heard of", 418, (), "request-refused", "configuration", "never", S,
     "nowhere"),
    ("InvalidParameterException", "No Container Instances were found in your cluster.", 400, (),
     "no-container-instances", "configuration", "never", S, "gl:fargate/issues/22"),
    ("InvalidParameterException", "The specified capacity provider 'FARGATE_SPOT' was not found."
     " Specify a valid name or ARN and try again.", 400, (), "capacity-provider-missing",
     "configuration", "never", S, "gh:dask/dask-cloudprovider/pull/348"),
    ("ClusterNotFoundException", "Cluster not found.", 400, (), "cluster-not-found",
     "configuration", "never", S, "api/API_RunTask"),
    ("InvalidParameterException", "The referenced cluster was inactive.", 400, (),
     "cluster-not-found", "configuration", "never", S, "api/API_RunTask"),
    ("ClientException", "TaskDefinition not found.", 400, (), "task-definition-not-found",
     "configuration", "never", S, "api/API_RunTask"),
    ("ClientException", "TaskDefinition not found.", 400, (TD,), "task-definition-not-found",
     "configuration", "never", J, "api/API_RunTask"),
    ("InvalidParameterException", "TaskDefinition is inactive", 400, (PV, TD),
     "task-definition-not-found", "configuration", "never", J, "api/API_RunTask"),
    ("InvalidParameterException", "Override for container named ci-coordinator is not a container"
     " in the TaskDefinition.", 400, (), "container-name", "configuration", "never", S,
     "https://docs.gitlab.com/runner/configuration/runner_autoscale_aws_fargate/"),
    ("InvalidParameterException", "Task definition does not support launch_type FARGATE.", 400, (),
     "task-definition-unfit", "configuration", "never", S, "api/API_RunTask"),
    ("InvalidParameterException", "Network Configuration is not valid for the given networkMode of"
     " this task definition.", 400, (TD,), "task-definition-unfit", "configuration", "never", J,
     "api/API_RunTask"),
    ("ClientException", "No Fargate configuration exists for given values.", 400, (),
     "task-definition-unfit", "configuration", "never", S, "guide/task-cpu-memory-error"),
    ("PlatformUnknownException", "The specified platform version doesn't exist.", 400, (PV,),
     "platform-unknown", "configuration", "never", J, "api/API_RunTask"),
    ("PlatformTaskDefinitionIncompatibilityException", "One or more of the requested capabilities"
     " are not supported.", 400, (), "platform-too-old", "configuration", "never", S,
     "gh:CircleCI-Public/aws-ecs-orb/issues/121"),
    ("UnsupportedFeatureException", "", 400, (), "unsupported", "configuration", "never", S,
     "api/API_RunTask"),
    ("InvalidParameterException", "Error retrieving subnet information for [subnet-0abc]: The"
     " subnet"
     " ID 'subnet-0abc' does not exist (ErrorCode: InvalidSubnetID.NotFound)", 400, (),
     "subnet-unknown", "configuration", "never", S, "gh:eddmann/serverless-fargate/issues/20"),
    ("InvalidParameterException", "Error retrieving security group information for [sg-0abc]: The"
     " security group 'sg-0abc' does not exist (ErrorCode: InvalidGroup.NotFound)", 400, (),
     "security-group-unknown", "configuration", "never", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("ClientException", "ECS was unable to assume the role"
     " 'arn:aws:iam::123456789012:role/task' that was provided for this task. Please verify that"
     " the"
     " role being passed has the proper trust relationship and permissions and that your IAM user"
     " has permissions to pass this role.", 400, (), "role-not-assumable", "permissions",
     "never", S, "guide/security-ecs-iam-role-overview"),
    ("InvalidParameterException", "Unable to assume the service linked role. Please verify that the"
     " ECS service linked role exists.", 400, (), "service-linked-role", "configuration", "wait", S,
     "guide/using-service-linked-roles"),
    ("AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/manager/i-0 is not"
     " authorized to perform: ecs:RunTask on resource: arn:aws:ecs:us-east-1:123456789012:"
     "task-definition/ci:1 because no identity-based policy allows the ecs:RunTask action", 400, (),
     "manager-denied", "permissions", "never", S,
     "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"),
    ("AccessDeniedException", "User: arn:aws:iam::123456789012:user/ci is not authorized to"
     " perform:"
     " iam:PassRole on resource: arn:aws:iam::123456789012:role/execution", 400, (TD,),
     "pass-role-denied", "permissions", "never", S, "guide/security_iam_troubleshoot"),
    ("UnauthorizedOperation", "You are not authorized to perform this operation. Encoded"
     " authorization failure message: 6h34Gt", 403, (), "manager-denied", "permissions", "never", S,
     "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"),
    ("ExpiredTokenException", "The security token included in the request is expired", 400, (),
     "credentials-expired", "permissions", "never", S, "api/CommonErrors"),
    ("UnrecognizedClientException", "The security token included in the request is invalid.", 400,
     (), "credentials-invalid", "permissions", "never", S, "api/CommonErrors"),
    ("InvalidSignatureException", "Signature expired: 20261125T0 is now earlier than 20261125T1",
     400, (), "credentials-invalid", "permissions", "never", S, "api/CommonErrors"),
    ("BlockedException", "Your AWS account is currently blocked.", 400, (), "account-blocked",
     "permissions", "never", S, "api/API_RunTask"),
    ("ConflictException", "The request could not be processed because of conflict.", 400, (),
     "token-conflict", "aws", "never", S, "api/ECS_Idempotency"),
    ("InvalidParameterException", "securityGroups can have at most 5 items.", 400, (),
     "request-refused", "configuration", "never", S, "api/API_RunTask"),
    ("", "Unable to locate credentials", 0, (), "credentials-missing", "permissions", "never", S,
     "botocore"),
    ("", 'Could not connect to the endpoint URL: "https://ecs.us-east-1.amazonaws.com/"', 0, (),
     "aws-unreachable", "network", "wait", S, "botocore"),
    ("", "the answer is none of AWS's: HTTP 403 without an error code, text/html", 0, (),
     "answer-odd", "network", "wait", S, "the driver's own words"),
    ("", 'Read timeout on endpoint URL: "https://ecs.us-east-1.amazonaws.com/"', 0, (),
     "aws-unreachable", "network", "wait", S, "botocore"),
    ("", "SSL validation failed for https://ecs.us-east-1.amazonaws.com/ certificate verify failed",
     0, (), "tls-failed", "network", "never", S, "botocore"),
    ("", "Parameter validation failed:\nInvalid length for parameter cluster", 0, (),
     "parameters-invalid", "configuration", "never", S, "botocore"),
]  # fmt: skip


def stopped(code: str, reason: str, containers: Any = (), **more: Any) -> dict[str, Any]:
    """A task as DescribeTasks shows it: what is empty isn't there at all."""
    task: dict[str, Any] = {"lastStatus": "STOPPED", **more}
    if code:
        task["stopCode"] = code
    if reason:
        task["stoppedReason"] = reason
    task["containers"] = [
        {"name": name}
        | ({} if exit_code is None else {"exitCode": exit_code})
        | ({} if said is None else {"reason": said})
        for name, exit_code, said in containers
    ]
    return task


def check(verdict: Verdict, name: str, fault: str, retry: str, exit_kind: ExitKind) -> None:
    assert (verdict.name, verdict.fault, verdict.retry, verdict.exit_kind) == (
        name,
        Fault(fault),
        Retry(retry),
        exit_kind,
    )
    assert "(not named)" not in verdict.line


@pytest.mark.parametrize("case", STARTS, ids=lambda case: case[1])
def test_a_task_that_does_not_start(case: tuple[str, str, str, str, ExitKind, str]) -> None:
    reason, name, fault, retry, exit_kind, _source = case
    verdict = diagnosis.of_stopped_task(stopped("TaskFailedToStart", reason), "ci-coordinator")
    check(verdict, name, fault, retry, exit_kind)
    assert reason in verdict.raw


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case[3])
def test_a_task_that_ends(case: tuple[str, str, Any, str, str, str, ExitKind, str]) -> None:
    code, reason, containers, name, fault, retry, exit_kind, _source = case
    verdict = diagnosis.of_stopped_task(stopped(code, reason, containers), "ci-coordinator")
    check(verdict, name, fault, retry, exit_kind)


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case[2])
def test_a_launch_that_gives_no_task(case: tuple[str, str, str, str, str, str]) -> None:
    reason, detail, name, fault, retry, _source = case
    failure = {"arn": "arn:aws:ecs:us-east-1:123456789012:x/y", "reason": reason, "detail": detail}
    verdict = diagnosis.of_failures([failure])
    check(verdict, name, fault, retry, S)
    assert verdict.raw.startswith(reason)
    assert detail in verdict.raw


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case[4])
def test_a_call_that_fails(case: tuple[str, str, int, Any, str, str, str, ExitKind, str]) -> None:
    code, message, status, chosen, name, fault, retry, exit_kind, _source = case
    verdict = diagnosis.of_api_error("RunTask", code, message, status=status, chosen=chosen)
    check(verdict, name, fault, retry, exit_kind)


def test_no_failures_and_no_task_is_not_known() -> None:
    verdict = diagnosis.of_failures([])
    assert (verdict.name, verdict.raw) == ("unknown", "")
    assert verdict.line == "ECS gave no task: AWS gives no reason [unknown]"


def test_the_wrong_image_of_a_job_is_the_authors() -> None:
    task = stopped("TaskFailedToStart", f"{RESOLVE}docker.io/library/nosuch:1: not found")
    assert diagnosis.of_stopped_task(task).exit_kind is S
    verdict = diagnosis.of_stopped_task(task, chosen=[IMG])
    assert verdict.exit_kind is J
    assert verdict.summary == "docker.io has no image docker.io/library/nosuch:1"


def test_a_registry_that_is_away_is_never_the_authors() -> None:
    task = stopped("TaskFailedToStart", f"{RESOLVE}docker.io/library/a:1: dial tcp: i/o timeout")
    assert diagnosis.of_stopped_task(task, chosen=list(Chosen)).exit_kind is S


def test_an_image_may_be_called_like_an_error() -> None:
    names = ("timeout", "eof", "denied", "throttling", "certificate", "outofmemory", "unauthorized")
    for name in names:
        task = stopped(
            "TaskFailedToStart", f"{RESOLVE}docker.io/x/{name}: docker.io/x/{name}: not found"
        )
        assert diagnosis.of_stopped_task(task).name == "image-not-found", name


def test_memory_names_its_limit_and_the_next_size() -> None:
    oom = [("ci-coordinator", 137, "OutOfMemoryError: Container killed due to memory usage")]
    task = stopped("EssentialContainerExited", "Essential container in task exited", oom)
    assert (
        "; the task has 2048 MiB"
        in diagnosis.of_stopped_task(task | {"cpu": "256", "memory": "2048"}).summary
    )
    verdict = diagnosis.of_stopped_task(task | {"cpu": "256", "memory": "2048"}, "ci-coordinator")
    assert "; the task has 2048 MiB" in verdict.summary
    assert "next size: cpu 512, memory 3072" in verdict.remedy
    verdict = diagnosis.of_stopped_task(task | {"cpu": "16384", "memory": "122880"})
    assert "the most memory that Fargate offers" in verdict.remedy
    task["containers"][0]["memory"] = "512"
    verdict = diagnosis.of_stopped_task(task | {"cpu": "1024", "memory": "2048"})
    assert "its own limit is 512 MiB" in verdict.summary
    assert "raise the container's `memory`" in verdict.remedy


JOB, HELPER, ROUTER = "ci-coordinator", "helper", "log-router"
OOM = "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(
    ("containers", "essential", "name", "culprit"),
    [
        # A service had ended before the job's container did.
        ([("db", 137, OOM), (JOB, 1, None)], [JOB, HELPER], "container-exited", JOB),
        ([("db", 137, OOM), (JOB, 1, None)], [], "container-exited", JOB),
        ([("db", 137, OOM), (JOB, 137, None)], [JOB, HELPER], "container-killed", JOB),
        ([("db", 137, OOM), (JOB, 143, None), (HELPER, 2, None)], [JOB, HELPER],
         "container-exited", HELPER),
        ([("db", 137, OOM), (JOB, 137, OOM)], [JOB, HELPER], "container-out-of-memory", JOB),
        ([("injector", 0, None), (HELPER, 143, None), (JOB, 1, None)], [JOB, HELPER],
         "container-exited", JOB),
        # A container of the operator's ended the task.
        ([(ROUTER, 137, OOM), (JOB, 143, None)], [JOB, ROUTER], "container-out-of-memory", ROUTER),
        ([(ROUTER, 137, OOM), (JOB, 143, None)], [], "container-out-of-memory", ROUTER),
    ],
)  # fmt: skip
def test_the_container_that_ended_the_task_is_named(
    containers: Any, essential: list[str], name: str, culprit: str
) -> None:
    task = stopped("EssentialContainerExited", "Essential container in task exited", containers)
    verdict = diagnosis.of_stopped_task(task, JOB, essential=essential)
    assert verdict.name == name
    assert verdict.summary.startswith(f"container {culprit} ")
    assert all(f"container {one[0]}: " in verdict.raw for one in containers)


def test_a_killed_script_gets_a_hint() -> None:
    task = stopped("", "", [("ci-coordinator", None, None)], cpu="1024", memory="2048")
    assert diagnosis.of_script_exit(1, task, "ci-coordinator") is None
    verdict = diagnosis.of_script_exit(137, task, "ci-coordinator")
    assert verdict
    check(verdict, "script-killed", "script", "never", J)
    assert "the task has 2048 MiB" in verdict.line
    assert "next size: cpu 1024, memory 3072" in verdict.line
    unknown = diagnosis.of_script_exit(137, {})
    assert unknown
    assert "give the task more memory" in unknown.line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
        (
            "User: arn:aws:iam::123456789012:user/JohnDoe is not authorized to perform:"
            " codecommit:ListRepositories because no service control policy allows the"
            " codecommit:ListRepositories action",
            ("codecommit:ListRepositories", "", "user JohnDoe", "", "service control policy"),
        ),
        (
            "User: arn:aws:sts::123456789012:assumed-role/ci/i-0 is not authorized to perform:"
            " ecs:StopTask on resource: arn:aws:ecs:us-east-1:123456789012:task/ci/0abc with an"
            " explicit deny in a service control policy",
            ("ecs:StopTask", "arn:aws:ecs:us-east-1:123456789012:task/ci/0abc", "role ci",
             "service control policy", ""),
        ),
        (
            "User: arn:aws-cn:sts::123456789012:assumed-role/ci/i-0 is not authorized to perform:"
            " logs:CreateLogStream because no VPC endpoint policy allows the logs:CreateLogStream"
            " action",
            ("logs:CreateLogStream", "", "role ci", "", "VPC endpoint policy"),
        ),
        (
            "User: arn:aws:iam::123456789012:role/path/ci is not authorized to perform: ecs:RunTask"
            " on resource: * with an explicit deny in a permissions boundary:"
            " arn:aws:iam::123456789012:policy/boundary",
            ("ecs:RunTask", "*", "role ci", "permissions boundary", ""),
        ),
        # Cut off by Fargate: https://github.com/doctorray117/minecraft-ondemand/issues/12
        (
            "AccessDeniedException: User:"
            " arn:aws:sts::123456789012:assumed-role/ecs.task.mc/123a...",
            ("", "", "role ecs.task.mc", "", ""),
        ),
        (
            "You are not authorized to perform this operation. User:"
            " arn:aws:sts::123456789012:assumed-role/ci/i-0 is not authorized to perform:"
            " ec2:DescribeNetworkInterfaces because no identity-based policy allows the"
            " ec2:DescribeNetworkInterfaces action",
            ("ec2:DescribeNetworkInterfaces", "", "role ci", "", "identity-based policy"),
        ),
        ("AccessDeniedException: Access to KMS is not allowed", ("kms:Decrypt", "", "", "", "")),
        ("nothing of that kind", ("", "", "", "", "")),
    ],
)  # fmt: skip
def test_a_refusal_is_taken_apart(text: str, expected: tuple[str, ...]) -> None:
    assert denials.read(text) == denials.Denial(*expected)


def test_a_missing_right_is_named_with_its_role_and_resource() -> None:
    arn = "arn:aws:ecr:us-east-1:123456789012:repository/ci"
    task = stopped(
        "TaskFailedToStart",
        f"{PULL}denied: User: {ROLE} is not authorized to perform: ecr:BatchGetImage on resource:"
        f" {arn} because no identity-based policy allows the ecr:BatchGetImage action",
    )
    verdict = diagnosis.of_stopped_task(task)
    assert f"role execution may not ecr:BatchGetImage on {arn}" in verdict.summary
    assert verdict.remedy == (
        f"allow ecr:BatchGetImage on {arn} in the identity-based policy of role execution"
    )


def test_a_refusal_without_details_names_the_call() -> None:
    verdict = diagnosis.of_api_error("StopTask", "AccessDeniedException", "", status=400)
    assert verdict.summary == "the manager lacks a right: it may not ecs:StopTask"
    ec2 = diagnosis.of_api_error("ec2:DescribeNetworkInterfaces", "UnauthorizedOperation", "")
    assert "it may not ec2:DescribeNetworkInterfaces" in ec2.summary


def test_an_explicit_deny_is_not_mended_by_allowing() -> None:
    verdict = diagnosis.of_api_error(
        "RunTask",
        "AccessDeniedException",
        "User: arn:aws:sts::123456789012:assumed-role/ci/i-0 is not authorized to perform:"
        " ecs:RunTask on resource: * with an explicit deny in a service control policy",
    )
    assert verdict.remedy.startswith("a service control policy forbids it")


def test_keys_to_presigned_urls_are_left_out() -> None:
    # Layers of ECR images lie in S3, behind such URLs; the pull's error quotes them.
    url = (
        "https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/a?X-Amz-Security-"
        "Token=IQoJb3JpZ2luX2VjE&X-Amz-Date=20261125T000000Z&X-Amz-Credential=ASIAEXAMPLE%2F2026&X-Amz"
        "-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
    )
    task = stopped("TaskFailedToStart", f'{PULL}failed to copy: Get "{url}": dial tcp: i/o timeout')
    line = diagnosis.of_stopped_task(task).line
    for secret in ("IQoJb3Jp", "ASIAEXAMPLE", "fe5f80f7"):
        assert secret not in line
    assert "X-Amz-Date=20261125T000000Z" in line


@pytest.mark.parametrize(
    ("text", "image", "registry"),
    [
        ('failed to resolve reference "docker.io/library/a:1": x', "docker.io/library/a:1",
         "docker.io"),
        (f"failed to resolve ref {ECR}/ci@sha256:0a: {ECR}/ci: not found", f"{ECR}/ci@sha256:0a",
         ECR),
        ("failed to resolve ref localhost/a:1: x", "localhost/a:1", "localhost"),
        (f"repository {ECR}/team/ci not found", f"{ECR}/team/ci", ECR),
        ("pull access denied for team/ci, repository does not exist", "team/ci", "docker.io"),
    ],
)  # fmt: skip
def test_the_image_is_found_in_the_words(text: str, image: str, registry: str) -> None:
    assert words.image_in(text) == image
    assert words.registry_of(image) == registry


def test_the_image_of_the_container_is_named_where_the_words_do_not() -> None:
    task = stopped("TaskFailedToStart", f"{PULL}context canceled", [("ci-coordinator", None, None)])
    task["containers"][0]["image"] = "registry.example.com/ci:1"
    verdict = diagnosis.of_stopped_task(task, "ci-coordinator")
    assert "registry.example.com did not answer in time" in verdict.summary


@pytest.mark.parametrize(
    ("cpu", "memory", "larger"),
    [
        (256, 512, (256, 1024)),
        (256, 2048, (512, 3072)),
        (512, 4096, (1024, 5120)),
        (4096, 30720, (8192, 32768)),
        (8192, 61440, (16384, 65536)),
        (16384, 122880, None),
        (0, 700, (256, 1024)),
    ],
)
def test_the_next_size(cpu: int, memory: int, larger: tuple[int, int] | None) -> None:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
    assert sizes.next_size(cpu, memory) == larger


# The table itself.


def test_names_are_stable_and_sources_given() -> None:
    names = [row.name for row in verdict_table.ROWS]
    assert len(set(names)) == len(names)
    for row in verdict_table.ROWS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.name), row.name
        assert row.source.startswith("https://"), row.name
        assert row.text or row.code, row.name


@pytest.mark.parametrize("row", verdict_table.ROWS, ids=lambda row: row.name)
def test_sentences_name_only_what_is_known(row: Row) -> None:
    known = set(facts.FACTS) | set(re.compile(row.text).groupindex)
    for sentence in (row.summary, row.remedy):
        assert set(re.findall(r"\{(\w+)\}", sentence)) <= known


@pytest.mark.parametrize("row", verdict_table.ROWS, ids=lambda row: row.name)
def test_no_row_hides_behind_an_earlier_one(row: Row) -> None:
    verdicts = []
    if Where.TASK in row.where:
        code, colon, reason = row.example.partition(": ")
        reason, _, said = reason.partition("; container ")
        name, _, rest = said.partition(": exit code ")
        exit_code, _, why = rest.partition(", ")
        containers = [(name, int(exit_code), why or None)] if said else []
        if not colon or "Error" in code or " " in code:
            code, reason = "TaskFailedToStart", row.example
        verdicts.append(diagnosis.of_stopped_task(stopped(code, reason, containers)))
    if Where.FAILURE in row.where:
        verdicts.append(diagnosis.of_failures([{"reason": row.example}]))
    if Where.API in row.where:
        code, _, message = row.example.partition("Exception: ")
        error = (f"{code}Exception", message) if message else ("", row.example)
        verdicts.append(diagnosis.of_api_error("RunTask", *error))
    assert {verdict.name for verdict in verdicts} == {row.name}


# Whatever AWS says.

JUNK = st.one_of(
    st.text(max_size=300),
    st.sampled_from([row.example for row in verdict_table.ROWS]),
    st.lists(
        st.sampled_from(
            ["CannotPullContainerError:", "ResourceInitializationError:", "{image}", "%s",
             "\x1b[31m", "\u2028", "EFS utils", "arn:aws:iam::",
             "not authorized to perform: ", "\r\n",
             "\ud800", "Unexpected EC2 error"]
        ),
        max_size=200,
    ).map(" ".join),
)  # fmt: skip


def check_line(verdict: Verdict, *said: str) -> None:
    for text in (verdict.summary, verdict.remedy, verdict.raw, verdict.line):
        assert text.isprintable()
    assert len(verdict.line) < 4000
    if len(verdict.raw) < 2000:
        for text in said:
            kept = "".join(c for c in text if c.isprintable() or c.isspace())
            assert " ".join(kept.split()) in verdict.raw


@given(code=JUNK, reason=JUNK, said=JUNK, exit_code=st.none() | st.integers(), name=JUNK)
def test_any_stopped_task_has_a_verdict(
    code: str, reason: str, said: str, exit_code: int | None, name: str
) -> None:
    task = stopped(code, reason, [(name, exit_code, said)], cpu=code, memory=reason)
    check_line(diagnosis.of_stopped_task(task, name), code, reason, said)


@given(
    task=st.dictionaries(
        st.sampled_from(["stopCode", "stoppedReason", "containers", "cpu", "memory"]),
        st.none() | st.integers() | st.lists(st.none() | st.dictionaries(JUNK, st.none())),
    )
)
def test_a_task_of_any_shape_has_a_verdict(task: dict[str, Any]) -> None:
    if not isinstance(task.get("containers", []), list):
        del task["containers"]
    check_line(diagnosis.of_stopped_task(task))


@given(reason=JUNK, detail=JUNK)
def test_any_failure_has_a_verdict(reason: str, detail: str) -> None:
    check_line(diagnosis.of_failures([{"reason": reason, "detail": detail}]), reason, detail)


@given(code=JUNK, message=JUNK, status=st.integers(0, 599))
def test_any_error_has_a_verdict(code: str, message: str, status: int) -> None:
    check_line(diagnosis.of_api_error("RunTask", code, message, status=status), code, message)
