"""`[Images]` and `[Allow]`: running jobs in images of their own, and what they may choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from fargate_driver.settings import image_values, values
from fargate_driver.settings.section import Section, key

_PATTERNS = (
    "a pattern or a list of them: `*` stands for anything but a slash, `**` for anything, "
    "`?` for one character but a slash"
)
Architecture = Literal["X86_64", "ARM64"]


class Images(Section):
    """`[Images]`: run jobs in the images that they ask for."""

    enabled: bool = key(
        "Enabled",
        "Run a job that has `image:` in that image, beside its `services:`, by a task definition "
        "that the driver derives and registers. Jobs without an image, and jobs that set "
        "FARGATE_TASK_DEFINITION, run as without this section. "
        "Needs the rights ecs:DescribeTaskDefinition and ecs:RegisterTaskDefinition.",
        "true or false",
        default=False,
    )
    helper_image: Annotated[str, AfterValidator(image_values.image)] | None = key(
        "HelperImage",
        "The image with the driver's tools, git and gitlab-runner; "
        "`fargate helper-image` tells how to build and push it. Needed with Enabled; an embedded "
        "Fargate has its own.",
        "an image's name like 123456789012.dkr.ecr.us-east-1.amazonaws.com/fargate-helper:1",
        None,
    )
    default_image: Annotated[str, AfterValidator(image_values.image)] | None = key(
        "DefaultImage",
        "The image of jobs that ask for none. `[Allow] Images` doesn't apply to it.",
        "an image's name",
        None,
    )
    base_task_definition: Annotated[str, values.matching(values.TASK_DEFINITION)] | None = key(
        "BaseTaskDefinition",
        "Derive from this task definition: its roles, volumes, size and further containers are "
        "kept. What its container `[Fargate] ContainerName` says about environment, secrets, "
        "volumes, ulimits and logging applies to the job's container, its logging to all.",
        "family, family:revision, or an ARN of one",
        None,
    )
    family: Annotated[str, values.matching(image_values.FAMILY)] = key(
        "Family",
        "How the families of derived task definitions begin; a hash follows. "
        "An IAM policy can be limited to it.",
        "up to 200 letters, digits, hyphens and underscores",
        "gitlab-fargate-driver",
    )
    run_as: Literal["image", "root"] = key(
        "RunAs",
        "Who runs the job's script: the image's own user, as on GitLab's Docker executor, or root. "
        "`image: docker: user:` of a job beats it.",
        '"image" or "root"',
        "image",
    )
    service_secrets: bool = key(
        "ServiceSecrets",
        "Hand masked variables to services too. They travel in RunTask's overrides, which "
        "DescribeTasks and CloudTrail show to whoever may read these. "
        "Without it they are left out, with a warning.",
        "true or false",
        default=False,
    )
    cpu: Annotated[int, BeforeValidator(image_values.cpu)] | None = key(
        "CPU",
        "CPU of a task. Where absent, that of BaseTaskDefinition, else 1 vCPU.",
        image_values.CPU_FORM,
        None,
    )
    memory: Annotated[int, BeforeValidator(image_values.memory)] | None = key(
        "Memory",
        "Memory of a task. Where absent, that of BaseTaskDefinition, else 2 GB.",
        image_values.MEMORY_FORM,
        None,
    )
    ephemeral_storage: Annotated[int, BeforeValidator(image_values.storage)] | None = key(
        "EphemeralStorage",
        "Disk of a task, images included. "
        "Where absent, that of BaseTaskDefinition, else Fargate's 20 GiB.",
        image_values.STORAGE_FORM,
        None,
    )
    architecture: Architecture | None = key(
        "Architecture",
        "The processors of tasks. Where absent, that of BaseTaskDefinition, else X86_64.",
        '"X86_64" or "ARM64"',
        None,
    )
    execution_role: Annotated[str, values.matching(values.ROLE)] | None = key(
        "ExecutionRole",
        "The role by which ECS pulls images and writes logs. "
        "Where absent, that of BaseTaskDefinition. Needs iam:PassRole.",
        "a role's ARN like arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        None,
    )
    task_role: Annotated[str, values.matching(values.ROLE)] | None = key(
        "TaskRole",
        "The role that scripts call AWS with. "
        "Where absent, that of BaseTaskDefinition. Needs iam:PassRole.",
        "a role's ARN like arn:aws:iam::123456789012:role/ci",
        None,
    )
    ssh_port: Annotated[int, AfterValidator(image_values.unprivileged_port)] = key(
        "SSHPort",
        "The port of the driver's SSH server in the job's container. "
        "The security group must let the runner's host reach it.",
        "a whole number from 1024 to 65535",
        2222,
    )
    helper_ssh_port: Annotated[int, AfterValidator(image_values.unprivileged_port)] = key(
        "HelperSSHPort",
        "The same in the container for sources, caches and artifacts.",
        "a whole number from 1024 to 65535, another than SSHPort",
        2223,
    )
    registry_credentials: Annotated[
        dict[str, str], BeforeValidator(image_values.registry_credentials)
    ] = key(
        "RegistryCredentials",
        "Secrets in AWS Secrets Manager to pull with, by a pattern of the registry "
        "(`registry.example.com`) or of the image's name with its registry and without its tag "
        "(`docker.io/example/**`). Of several that match, the longest pattern counts. ECR needs "
        "none. The execution role needs secretsmanager:GetSecretValue.",
        'a table like {"registry.example.com" = "arn:aws:secretsmanager:…"}',
        {},
    )


class Allow(Section):
    """`[Allow]`: what the authors of jobs may choose."""

    images: Annotated[tuple[str, ...], BeforeValidator(image_values.patterns)] = key(
        "Images",
        "Images that jobs may run in, as they are written in .gitlab-ci.yml once variables are "
        "expanded. Where absent, all.",
        _PATTERNS,
        ("**",),
    )
    services: Annotated[tuple[str, ...], BeforeValidator(image_values.patterns)] = key(
        "Services", "Images that jobs may use as services. Where absent, all.", _PATTERNS, ("**",)
    )
    task_roles: Annotated[tuple[str, ...], BeforeValidator(image_values.patterns)] = key(
        "TaskRoles",
        "Roles that jobs may ask for with FARGATE_TASK_ROLE, by ARN. Where absent, none. "
        "Needs iam:PassRole for them.",
        _PATTERNS,
        (),
    )
    capacities: Annotated[tuple[str, ...], BeforeValidator(image_values.patterns)] = key(
        "Capacities",
        "Entries of `[[Capacity]]` that jobs may ask for with FARGATE_CAPACITY, by name. "
        "Where absent, none.",
        _PATTERNS,
        (),
    )
    max_cpu: Annotated[int, BeforeValidator(image_values.cpu)] | None = key(
        "MaxCPU",
        "The most that jobs may ask for with FARGATE_CPU. Where absent, they may not ask.",
        image_values.CPU_FORM,
        None,
    )
    max_memory: Annotated[int, BeforeValidator(image_values.memory)] | None = key(
        "MaxMemory",
        "The most that jobs may ask for with FARGATE_MEMORY. Where absent, they may not ask.",
        image_values.MEMORY_FORM,
        None,
    )
    max_ephemeral_storage: Annotated[int, BeforeValidator(image_values.storage)] | None = key(
        "MaxEphemeralStorage",
        "The most that jobs may ask for with FARGATE_EPHEMERAL_STORAGE. "
        "Where absent, they may not ask.",
        image_values.STORAGE_FORM,
        None,
    )
    architectures: Annotated[tuple[str, ...], BeforeValidator(image_values.architectures)] = key(
        "Architectures",
        "Processors that jobs may ask for with FARGATE_ARCHITECTURE or `image: docker: platform:`, "
        "beside the one they get anyway. Where absent, none.",
        '"X86_64", "ARM64" or a list of both',
        (),
    )
