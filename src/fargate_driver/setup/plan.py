"""What is to be set up: the answers, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fargate_driver.ecs import reference
from fargate_driver.setup.partition import partition_of
from fargate_driver.setup.policy import Features, Scope

SSH_PORTS = (2222, 2223)
"""The defaults of `[Images] SSHPort` and HelperSSHPort."""

Infrastructure = Literal["cloudformation", "terraform", "none"]
Manager = Literal["ec2", "fargate", "none"]
PublicIp = Literal["none", "outbound", "ssh"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The checked answers, as questions.py has them. Those not asked are None or empty."""

    region: str
    account: str
    infrastructure: Infrastructure
    manager: Manager | None
    vpc: str | None
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    cluster: str
    images: bool
    runner_version: str | None
    helper_image: str | None
    job_image: str | None
    task_definition: str | None
    execution_role: str | None
    task_role: str | None
    public_ip: PublicIp
    manager_cidr: str | None
    spot: bool
    tags: dict[str, str]
    wide_reap: bool
    prune: bool
    logs: bool
    log_group: str | None
    driver_package: str | None
    gitlab_url: str
    name: str
    token_secret: str | None
    manager_image: str | None
    limit: int
    program: str
    config_path: str
    records: str
    builds_dir: str
    cache_dir: str
    ssh_user: str
    ssh_port: int
    endpoint_url: str | None

    @property
    def features(self) -> Features:
        """What of it needs rights."""
        return Features(
            public_addresses=self.public_ip == "ssh",
            tags=bool(self.tags),
            wide_reap=self.wide_reap,
            images=self.images,
            prune=self.prune,
            logs=self.logs and self.log_group_name is not None,
        )

    @property
    def ssh_ports(self) -> tuple[int, ...]:
        """The ports of tasks that the manager connects to."""
        return SSH_PORTS if self.images else (self.ssh_port,)

    @property
    def partition(self) -> str:
        """`aws`, or another one for China, the US government and the isolated ones."""
        return partition_of(self.region).name

    @property
    def execution_role_name(self) -> str:
        """What the role is called where the templates make it: fargate.toml has to know.

        Roles are an account's, of all its Regions.
        """
        return f"{self.cluster}-{self.region}-execution"

    @property
    def execution_role_arn(self) -> str | None:
        """The role by which ECS pulls images, made by the templates or already there."""
        if self.infrastructure == "none":
            return self.execution_role
        return f"arn:{self.partition}:iam::{self.account}:role/{self.execution_role_name}"

    @property
    def derived_family(self) -> str:
        """`[Images] Family`: of its own, so that managers of an account leave each other alone."""
        return f"{self.cluster}-image"

    @property
    def families(self) -> tuple[str, ...]:
        """The families of task definitions that jobs run in."""
        return (f"{self.derived_family}-*",) if self.images else (str(self.task_definition),)

    @property
    def log_group_name(self) -> str | None:
        """Where tasks log: made by the templates or already there; None: init isn't told."""
        if self.infrastructure == "none":
            return self.log_group
        return f"/gitlab-fargate/{self.cluster}"

    @property
    def log_group_arn(self) -> str | None:
        """The same, for policies."""
        name = self.log_group_name
        prefix = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group"
        return f"{prefix}:{name}" if name else None

    @property
    def scope(self) -> Scope:
        """What the policy is limited to."""
        return Scope(
            f"arn:{self.partition}:ecs:{self.region}:{self.account}",
            self.cluster,
            self.families,
            tuple(role for role in (self.execution_role_arn, self.task_role) if role),
            self.log_group_arn,
            f"{self.derived_family}-*",
        )

    @property
    def repositories(self) -> tuple[str, ...]:
        """ARNs of the account's ECR repositories among the images that are known beforehand."""
        images = (self.helper_image, self.job_image, self.manager_image)
        names = dict.fromkeys(filter(None, map(self.own_repository, images)))
        prefix = f"arn:{self.partition}:ecr:{self.region}:{self.account}:repository"
        return tuple(f"{prefix}/{name}" for name in names)

    def own_repository(self, image: str | None) -> str | None:
        """The repository of an image that is in the account's registry."""
        found = reference.parse(image) if image else None
        registry = registry_of(self.account, self.region)
        return found.repository.partition("/")[2] if found and found.registry == registry else None


def registry_of(account: str, region: str) -> str:
    """The host of an account's ECR registry."""
    return f"{account}.dkr.ecr.{region}.{partition_of(region).suffix}"
