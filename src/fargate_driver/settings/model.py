"""Every key of fargate.toml: its name, type, default, bounds and help.

docs/configuration.md and the error messages are made from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    field_validator,
)

from fargate_driver.ecs.endpoint import is_loopback
from fargate_driver.settings import values
from fargate_driver.settings.images import Allow, Images
from fargate_driver.settings.section import Key, Section, key

_EMBEDDED_HELPER = "fargate-helper"
"""The embedded Fargate's own image with the driver's tools."""


class Fargate(Section):
    """`[Fargate]`: where and how tasks are started."""

    cluster: Annotated[str, values.matching(values.CLUSTER)] = key(
        "Cluster", "The ECS cluster in which tasks are started.", "a cluster's name or ARN"
    )
    region: Annotated[str, values.matching(values.REGION)] = key(
        "Region", "The AWS region of the cluster.", "a region like us-east-1"
    )
    subnets: Annotated[tuple[str, ...], BeforeValidator(values.list_of(values.SUBNET, 16))] = key(
        "Subnet",
        "The subnets that tasks may be placed in. All must be in one VPC.",
        "a subnet id (subnet-…) or a list of up to 16",
        also="Subnets",
    )
    security_groups: Annotated[
        tuple[str, ...], BeforeValidator(values.list_of(values.SECURITY_GROUP, 5))
    ] = key(
        "SecurityGroup",
        "The security groups of tasks. They must let the runner's host reach the SSH port.",
        "a security group id (sg-…) or a list of up to 5",
        also="SecurityGroups",
    )
    task_definition: Annotated[str, values.matching(values.TASK_DEFINITION)] = key(
        "TaskDefinition",
        "The task definition of jobs; without a revision, the latest active one. "
        "May be absent where each job or `--task-def` names one.",
        "family, family:revision, or an ARN of one",
        "",
    )
    enable_public_ip: bool = key(
        "EnablePublicIP", "Give tasks a public IP address.", "true or false", default=False
    )
    use_public_ip: bool | None = key(
        "UsePublicIP",
        "Connect to the task's public address instead of its private one. "
        "Where absent, as EnablePublicIP says; without EnablePublicIP a task has none, and true is "
        "ignored.",
        "true or false",
        None,
    )
    platform_version: Annotated[str, values.matching(values.PLATFORM_VERSION)] | None = key(
        "PlatformVersion",
        "The Fargate platform version. Where absent, ECS chooses.",
        "LATEST or a version like 1.4.0",
        None,
    )
    container_name: Annotated[str, values.matching(values.CONTAINER)] = key(
        "ContainerName",
        "The container of the task definition that runs sshd and the job.",
        "a container's name",
        "ci-coordinator",
    )
    endpoint_url: Annotated[str, AfterValidator(values.url)] | None = key(
        "EndpointURL",
        "Call ECS at this address instead of AWS's: a VPC endpoint, or the embedded Fargate, "
        "which serves EC2 and logs too.",
        "an http:// or https:// address without user name, query and fragment",
        None,
    )
    start_timeout: Annotated[float, AfterValidator(values.seconds)] = key(
        "StartTimeout",
        "How long prepare may take from its start to an open SSH connection. "
        "Keep it below the runner's prepare_exec_timeout.",
        "seconds, from 1 to 86400",
        600.0,
    )
    max_lifetime: Annotated[int, AfterValidator(values.lifetime)] | None = key(
        "MaxLifetime",
        "After how long a task ends itself, counted from the open SSH connection, whatever became "
        "of the runner and the driver. Where absent, the job's timeout and an hour.",
        "a whole number of seconds, from 1 to 2592000",
        None,
    )
    wait_for_healthy: bool = key(
        "WaitForHealthy",
        "Wait for the health check of the job's container to report HEALTHY before the job starts. "
        "ECS shows UNKNOWN both while a first check runs and where none is defined, so the driver "
        "can't tell by itself; a container that turns UNHEALTHY while the job starts fails it "
        "either way.",
        "true or false",
        default=False,
    )
    builds_dir: Annotated[str, AfterValidator(values.absolute)] | None = key(
        "BuildsDir",
        "Folder in the job's container for sources. Where absent, builds_dir of the runner's "
        "config.toml; /builds for jobs in images.",
        "an absolute path, not /",
        None,
    )
    cache_dir: Annotated[str, AfterValidator(values.absolute)] | None = key(
        "CacheDir",
        "Folder in the job's container for caches. Where absent, cache_dir of the runner's "
        "config.toml; /cache for jobs in images.",
        "an absolute path, not / or BuildsDir",
        None,
    )
    assume_role: Annotated[str, values.matching(values.ROLE)] | None = key(
        "AssumeRole",
        "A role to assume for all calls to AWS, for tasks in another account.",
        "a role's ARN like arn:aws:iam::123456789012:role/ci",
        None,
    )
    print_shell_command: bool = key(
        "PrintShellCommand",
        "Say in the job's log how to open a shell in the job's container, on the runner's host.",
        "true or false",
        default=False,
    )
    tags: Annotated[dict[str, str], BeforeValidator(values.tags)] = key(
        "Tags",
        "Tags of the task. Needs the right ecs:TagResource.",
        "a table of up to 50 strings (letters, digits, spaces and _.:/=+-@; "
        "names up to 128 characters, values up to 256)",
        {},
    )
    propagate_tags: Annotated[bool, BeforeValidator(values.propagate_tags)] = key(
        "PropagateTags",
        "Copy the tags of the task definition to the task. Needs the right ecs:TagResource.",
        'true, false, "TASK_DEFINITION" or "NONE"',
        default=False,
    )

    @property
    def connects_to_public_ip(self) -> bool:
        """Whether SSH goes to the task's public address."""
        return self.enable_public_ip and self.use_public_ip is not False


class Capacity(Section):
    """`[[Capacity]]`: where to start tasks, in order of preference."""

    model_config = ConfigDict(validate_default=True)

    name: Annotated[str, AfterValidator(values.printable)] | None = key(
        "Name",
        "What the job's log calls it. Where absent, its Provider or LaunchType.",
        "a text without control characters",
        None,
    )
    provider: Annotated[str, values.matching(values.PROVIDER)] | None = key(
        "Provider",
        "Start tasks on this capacity provider, which the cluster must have. "
        "Either this or LaunchType is needed.",
        "a capacity provider's name like FARGATE_SPOT (without LaunchType)",
        None,
    )
    launch_type: Literal["FARGATE"] | None = key(
        "LaunchType",
        "Start tasks on Fargate on demand, whatever capacity providers the cluster has.",
        '"FARGATE", or Provider instead of it',
        None,
    )
    weight: Annotated[int, AfterValidator(values.weight)] = key(
        "Weight",
        "The weight of Provider in the capacity provider strategy that is sent.",
        "a whole number from 1 to 1000 (only with Provider)",
        1,
    )
    base: Annotated[int, AfterValidator(values.base)] | None = key(
        "Base",
        "The base of Provider in the capacity provider strategy that is sent.",
        "a whole number from 0 to 100000 (only with Provider)",
        None,
    )
    subnets: (
        Annotated[tuple[str, ...], BeforeValidator(values.list_of(values.SUBNET, 16))] | None
    ) = key(
        "Subnet",
        "Use these subnets instead of those of `[Fargate]`. All must be in the same VPC.",
        "a subnet id (subnet-…) or a list of up to 16",
        None,
        also="Subnets",
    )
    platform_version: Annotated[str, values.matching(values.PLATFORM_VERSION)] | None = key(
        "PlatformVersion",
        "Use this platform version instead of that of `[Fargate]`. "
        "The job's choice and `--platform-version` beat both.",
        "LATEST or a version like 1.4.0",
        None,
    )

    @field_validator("launch_type")
    @classmethod
    def _either(cls, value: str | None, info: ValidationInfo) -> str | None:
        provider = info.data.get("provider", "one that is wrong itself")
        if value and provider:
            raise ValueError("is given beside Provider")
        if not value and not provider:
            raise ValueError("is missing, and Provider too")
        return value

    @field_validator("weight", "base")
    @classmethod
    def _belongs_to_provider(cls, value: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("launch_type") and value != cls.model_fields[str(info.field_name)].default:
            raise ValueError("is given beside LaunchType")
        return value

    @property
    def label(self) -> str:
        """What the job's log calls it."""
        return self.name or self.provider or str(self.launch_type)


class TaskMetadata(Section):
    """`[TaskMetadata]`: what the driver remembers between the stages of a job."""

    directory: Annotated[Path, BeforeValidator(values.path)] = key(
        "Directory",
        "Folder on the runner's host for the records of running jobs. Created where missing. "
        "A relative path counts from the folder of this file.",
        "a path",
    )
    manager: Annotated[str, values.matching(values.MANAGER)] | None = key(
        "Manager",
        "The name by which this manager's tasks are known in the cluster (startedBy), instead of "
        "its host: for a manager in a container, whose host name changes. Only managers that share "
        "Directory may share it.",
        "a name of up to 64 letters, digits and hyphens",
        None,
    )


class SSH(Section):
    """`[SSH]`: how the driver connects to a task."""

    username: Annotated[str, values.matching(values.USER)] = key(
        "Username",
        "The user in the job's container; the one whose authorized_keys it fills.",
        "a user name of letters, digits and _.- that starts with no dash or dot",
    )
    port: Annotated[int, AfterValidator(values.port)] = key(
        "Port",
        "The port of sshd in the job's container. 0 or less means 22.",
        "a whole number from 1 to 65535",
        22,
    )


class Costs(Section):
    """`[Costs]`: what the job's log says about costs."""

    price_file: Annotated[Path, BeforeValidator(values.path)] = key(
        "PriceFile",
        "Prices that win over the packaged ones; `fargate prices update` writes it, and it need "
        "not exist. A relative path counts from the folder of this file.",
        "a path",
        Path("fargate-prices.json"),
    )


class Metrics(Section):
    """`[Metrics]`: numbers for Prometheus."""

    text_file: Annotated[Path, BeforeValidator(values.metrics_file)] | None = key(
        "TextFile",
        "Write metrics into this file, in a folder that node_exporter's textfile collector reads "
        "and the driver may write to. A relative path counts from the folder of this file.",
        "a path that ends with .prom",
        None,
    )


class Settings(Section):
    """The whole file, with flags and the job's choice applied.

    Attributes:
        chosen_by_job: The job's variables that took effect. What they chose wrongly is the job's
            author's to mend, and the operator's otherwise.
    """

    log_level: Annotated[str, AfterValidator(values.level)] = key(
        "LogLevel",
        "How much goes to the operator's log.",
        "debug, info, warn, error, fatal or panic",
        "warning",
    )
    log_format: Annotated[str, AfterValidator(values.log_format)] = key(
        "LogFormat", "The form of the operator's log.", "text or json", "text"
    )
    log_file: Annotated[Path, BeforeValidator(values.path)] | None = key(
        "LogFile",
        "Append the operator's log to this file instead of stderr, which is the job's log. "
        "A relative path counts from the folder of this file. Stdout, which gitlab-runner reads as "
        "the driver's answer, is refused with a warning.",
        "a path",
        None,
    )
    fargate: Fargate = key("Fargate", "Where and how tasks are started.", "a table")
    task_metadata: TaskMetadata = key("TaskMetadata", "Records of running jobs.", "a table")
    ssh: SSH = key("SSH", "How the driver connects to a task.", "a table")
    capacity: list[Capacity] = key(
        "Capacity",
        "Where to start tasks, in order of preference.",
        "a [[Capacity]] for each",
        [],
    )
    images: Images = key("Images", "Run jobs in the images that they ask for.", "a table", Images())
    allow: Allow = key("Allow", "What the authors of jobs may choose.", "a table", Allow())
    costs: Costs = key("Costs", "What the job's log says about costs.", "a table", Costs())
    metrics: Metrics = key("Metrics", "Numbers for Prometheus.", "a table", Metrics())
    chosen_by_job: frozenset[str] = frozenset()

    @property
    def helper_image(self) -> str | None:
        """The image with the driver's tools; None where it is missing."""
        embedded = _EMBEDDED_HELPER if is_loopback(self.fargate.endpoint_url) else None
        return self.images.helper_image or embedded

    @property
    def builds_dir(self) -> str | None:
        """The folder for sources, of jobs in images where they are enabled; None: the runner's."""
        return self.fargate.builds_dir or ("/builds" if self.images.enabled else None)

    @property
    def cache_dir(self) -> str | None:
        """The folder for caches, in the same way."""
        return self.fargate.cache_dir or ("/cache" if self.images.enabled else None)


SECTIONS: dict[str, type[Section]] = {
    "": Settings,
    "Fargate": Fargate,
    "Capacity": Capacity,
    "TaskMetadata": TaskMetadata,
    "SSH": SSH,
    "Images": Images,
    "Allow": Allow,
    "Costs": Costs,
    "Metrics": Metrics,
}
LISTS = {"Capacity"}
"""The sections that a file may have more than one of: `[[Capacity]]`."""


def keys_of(section: str) -> dict[str, Key]:
    """The keys of a section by name; `""` is the top of the file, sections included."""
    found = {}
    for field in SECTIONS[section].model_fields.values():
        extra = field.json_schema_extra
        if field.alias and isinstance(extra, dict):
            allowed, also = str(extra["allowed"]), extra["also"]
            found[field.alias] = Key(
                field.alias,
                field.description or "",
                allowed,
                str(also) if also else None,
                ... if field.is_required() else field.default,
            )
    return found
