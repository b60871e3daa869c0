"""The CloudFormation template, by AWS's linter and on moto; the Terraform module, as it parses."""

from __future__ import annotations

import json
import re
import subprocess
import time
import tomllib
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import botocore.session
import cfnlint.api
import cfnlint.config
import cfnlint.decode.cfn_yaml
import hcl2
import pytest

from fargate_driver import settings
from fargate_driver.cli import main
from fargate_driver.commands import reap as reap_command
from fargate_driver.ecs import launch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.target import Target
from fargate_driver.setup import infrastructure, policy
from front_calls import flags
from init_calls import MADE, made
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fargate_driver.setup.plan import Plan

CHOICES: list[dict[str, str]] = [
    {"manager": "ec2", "public_ip": "outbound", "tags": "team=ci"},
    {"manager": "fargate", "images": "no", "task_role": "arn:aws:iam::123456789012:role/ci"},
    {"manager": "none", "public_ip": "ssh", "manager_cidr": "192.0.2.7/32", "spot": "yes"},
]
MANAGERS = [choice["manager"] for choice in CHOICES]
SAME = {
    "AWS::AutoScaling::AutoScalingGroup": "aws_autoscaling_group",
    "AWS::EC2::LaunchTemplate": "aws_launch_template",
    "AWS::EC2::SecurityGroup": "aws_security_group",
    "AWS::EC2::SecurityGroupIngress": "aws_vpc_security_group_ingress_rule",
    "AWS::ECR::Repository": "aws_ecr_repository",
    "AWS::ECS::Cluster": "aws_ecs_cluster",
    "AWS::ECS::Service": "aws_ecs_service",
    "AWS::ECS::TaskDefinition": "aws_ecs_task_definition",
    "AWS::IAM::InstanceProfile": "aws_iam_instance_profile",
    "AWS::IAM::ManagedPolicy": "aws_iam_policy",
    "AWS::IAM::Role": "aws_iam_role",
    "AWS::Logs::LogGroup": "aws_cloudwatch_log_group",
}
"""CloudFormation's kinds of things, and Terraform's."""
WITHIN = {
    "aws_ecs_cluster_capacity_providers",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_vpc_security_group_egress_rule",
}
"""What Terraform has as things of their own, and CloudFormation as parts of others."""


def test_the_linter_has_nothing_to_say() -> None:
    for choice in CHOICES:
        text = infrastructure.cloudformation(made(**choice))
        # Errors and warnings. The ARNs are spelt out on purpose, which rule I3042 advises against.
        found = cfnlint.api.lint(text, config=cfnlint.config.ManualArgs())
        assert not found, "\n".join(str(match) for match in found)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", MADE["region"])
    # Of libraries, not of what is tested.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto import mock_aws  # noqa: PLC0415 - it patches botocore when it is imported

        with mock_aws():
            yield botocore.session.get_session()


@pytest.mark.parametrize("manager", MANAGERS)
def test_the_template_deploys(aws: Any, manager: str) -> None:
    subnet = aws.create_client("ec2").describe_subnets()["Subnets"][0]
    plan = made(manager, vpc=subnet["VpcId"], subnets=subnet["SubnetId"])
    client = aws.create_client("cloudformation")
    client.create_stack(
        StackName="ci",
        TemplateBody=infrastructure.cloudformation(plan),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = client.describe_stacks(StackName="ci")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    iam = aws.create_client("iam")
    version = iam.get_policy_version(PolicyArn=outputs["ManagerPolicy"], VersionId="v1")
    assert version["PolicyVersion"]["Document"] == policy.policy(plan.features, plan.scope)
    role = iam.get_role(RoleName="gitlab-ci-eu-central-1-execution")["Role"]
    assert role["Arn"] == plan.execution_role_arn
    ecs = aws.create_client("ecs")
    assert ecs.describe_clusters(clusters=["gitlab-ci"])["clusters"][0]["status"] == "ACTIVE"
    described = ecs.describe_task_definition(taskDefinition="gitlab-ci-job")["taskDefinition"]
    assert described["containerDefinitions"][0]["name"] == "ci-coordinator"
    rules = aws.create_client("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [outputs["TasksSecurityGroup"]]}]
    )["SecurityGroupRules"]
    (inward,) = [rule for rule in rules if not rule["IsEgress"]]
    assert (inward["FromPort"], inward["ToPort"]) == (2222, 2223)
    assert inward["ReferencedGroupInfo"]["GroupId"] == outputs["ManagerSecurityGroup"]


def documents(value: Any) -> list[Any]:
    """The policies in a template."""
    if isinstance(value, list):
        return [found for item in value for found in documents(item)]
    if not isinstance(value, dict):
        return []
    if "Statement" in value:
        return [value]
    return [found for item in value.values() for found in documents(item)]


@pytest.mark.parametrize("choice", CHOICES, ids=MANAGERS)
def test_the_module_makes_what_the_template_does(choice: dict[str, str]) -> None:
    plan = made(**choice)
    template = cfnlint.decode.cfn_yaml.loads(infrastructure.cloudformation(plan))
    module = infrastructure.terraform(plan)
    kinds = Counter(
        kind.strip('"')
        for resource in hcl2.loads(module)["resource"]
        for kind in resource
        if not kind.startswith("__")
    )
    wanted = Counter(SAME[one["Type"]] for one in template["Resources"].values())
    assert {kind: n for kind, n in kinds.items() if kind not in WITHIN} == wanted
    # An expression of jsonencode is the document itself.
    encoded = re.findall(r"jsonencode\(\n( +\{\n.*?)\n  \)\n", module, re.DOTALL)
    texts = sorted(json.dumps(json.loads(text), sort_keys=True) for text in encoded)
    assert texts == sorted(json.dumps(one, sort_keys=True) for one in documents(template))
    assert set(template["Outputs"]) == {
        name.strip('"') for output in hcl2.loads(module)["output"] for name in output
    }


def test_stacks_of_one_account_have_no_name_in_common() -> None:
    def names(**answers: str) -> set[str]:
        template = cfnlint.decode.cfn_yaml.loads(infrastructure.cloudformation(made(**answers)))
        properties = [one["Properties"] for one in template["Resources"].values()]
        keys = ("RoleName", "ClusterName", "LogGroupName", "RepositoryName", "Family")
        return {str(one[key]) for one in properties for key in keys if key in one}

    here = names(manager="fargate")
    assert len(here) == 6
    assert not here & names(manager="fargate", cluster="gitlab-ci-2")
    # Of all these only roles are common to all Regions.
    elsewhere = names(manager="none", region="eu-west-1")
    assert not [name for name in here & elsewhere if name.endswith("execution")]


def scripts_of(plan: Plan) -> list[str]:
    """The start script of the manager as template and module have it, expressions filled in."""
    template = cfnlint.decode.cfn_yaml.loads(infrastructure.cloudformation(plan))["Resources"]
    if plan.manager == "ec2":
        data = template["ManagerTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
        script = data["Fn::Base64"]["Fn::Sub"]
    else:
        (container,) = template["ManagerDefinition"]["Properties"]["ContainerDefinitions"]
        script = container["Command"][0]["Fn::Sub"]
    module = infrastructure.terraform(plan).partition("<<EOT\n")[2].partition("\nEOT\n")[0]
    return [re.sub(r"\$\{[^}]*\}", "sg-0abc", text.strip("\n")) for text in (script, module)]


STUBS = {
    **dict.fromkeys(("chown", "curl", "dnf", "systemctl", "useradd"), ""),
    "aws": "echo glrt-secret",
    # The loop of `fargate reap` ends at once.
    "sleep": "exit 1",
    "python3.11": "mkdir -p $3/bin; echo '#!/bin/sh' >$3/bin/pip; chmod +x $3/bin/pip",
    "gitlab-runner": "echo started with ${RUNNER_TOKEN-no token}",
}


@pytest.fixture(scope="module")
def fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate"), runtime="process") as running:
        yield running


@pytest.mark.parametrize("manager", ["ec2", "fargate"])
def test_the_managers_script_writes_what_init_writes(
    manager: str,
    fargate: LocalFargate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = made(manager, cluster="default", endpoint_url=fargate.url)
    script, same = scripts_of(plan)
    assert script == same
    programs = tmp_path / "stubs"
    for folder in (programs, *(tmp_path / name for name in ("etc/systemd/system", "opt", "usr"))):
        folder.mkdir(parents=True)
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "usr/local/bin/gitlab-runner").touch()
    for name, text in STUBS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["bash" if manager == "ec2" else "sh", "-e"],
        input=re.sub(r"(?<![\w.:/])/(etc|opt|usr|var)/", rf"{tmp_path}/\1/", script),
        env={"PATH": f"{programs}:/usr/bin:/bin", "RUNNER_TOKEN": "glrt-secret"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if manager == "fargate":
        assert done.stdout == "started with no token\n"
    config = tmp_path / "etc/gitlab-runner"
    assert (config / "config.toml").stat().st_mode & 0o777 == 0o600
    runner = tomllib.loads((config / "config.toml").read_text())
    assert runner["concurrent"] == 50
    assert runner["runners"][0]["token"] == "glrt-secret"
    loaded = settings.load(flags(config=str(config / "fargate.toml")))
    assert loaded.warnings == []
    assert loaded.settings.fargate.security_groups == ("sg-0abc",)
    metadata = loaded.settings.task_metadata
    assert metadata.manager == "default"
    # What a manager before it left is ended, before the first job.
    assert metadata.directory.stat().st_mode & 0o777 == 0o700
    network = {"subnets": ["subnet-0abc"], "securityGroups": ["sg-0abc"]}
    request = {
        "taskDefinition": "ci-coordinator",
        "networkConfiguration": {"awsvpcConfiguration": network},
        "startedBy": launch.started_by(metadata),
    }
    ecs = Ecs(Target(MADE["region"], "default", fargate.url), deadline=time.monotonic() + 30)
    arn = ecs.run_task({"cluster": "default", "clientToken": manager, **request})["taskArn"]
    monkeypatch.setattr(reap_command, "_YOUNG", -60.0)
    assert main(["--config", str(config / "fargate.toml"), "reap"]) == 0
    assert f"stopped {arn}: this manager has no record" in capsys.readouterr().out
    until(lambda: not fargate.alive())


@pytest.mark.parametrize(
    ("limit", "instance", "size"),
    [
        (1, "t3.small", (512, 1024)),
        (25, "t3.small", (512, 2048)),
        (50, "t3.medium", (512, 4096)),
        (200, "t3.xlarge", (2048, 14336)),
        (10_000, "r5.24xlarge", None),
    ],
)
def test_a_manager_has_the_memory_to_start_its_jobs(
    limit: int, instance: str, size: tuple[int, int] | None
) -> None:
    plan = made("ec2", limit=str(limit))
    resources = cfnlint.decode.cfn_yaml.loads(infrastructure.cloudformation(plan))["Resources"]
    template = resources["ManagerTemplate"]["Properties"]["LaunchTemplateData"]
    assert template["InstanceType"] == instance
    assert f'instance_type = "{instance}"' in infrastructure.terraform(plan)
    if size is None:
        with pytest.raises(ValueError, match=r"--limit: no task .* allowed: up to 1838, or"):
            made("fargate", limit=str(limit))
        assert made("fargate", limit="1838")
        return
    plan = made("fargate", limit=str(limit))
    resources = cfnlint.decode.cfn_yaml.loads(infrastructure.cloudformation(plan))["Resources"]
    definition = resources["ManagerDefinition"]["Properties"]
    assert (int(definition["Cpu"]), int(definition["Memory"])) == size
    module = infrastructure.terraform(plan)
    assert all(re.search(rf"(cpu|memory) += {number}\n", module) for number in size)


def test_a_deployment_changes_what_init_was_told() -> None:
    """`aws cloudformation deploy` keeps the values of parameters, whatever their new defaults."""
    template = cfnlint.decode.cfn_yaml.loads(infrastructure.cloudformation(made("ec2")))
    assert [*template["Parameters"]] == ["ManagerImageId"]
    for script in scripts_of(made("ec2", runner_version="18.4.0")):
        assert "/gitlab-runner-downloads/v18.4.0/binaries/" in script
