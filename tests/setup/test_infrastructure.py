"""The CloudFormation template, by AWS's linter and on moto; the Terraform module, as it parses."""

from __future__ import annotations

import json
import subprocess
import tomllib
import warnings
from typing import TYPE_CHECKING, Any

import botocore.session
import cfnlint.api
import cfnlint.config
import hcl2
import pytest

from fargate_driver.setup import infrastructure, policy
from init_calls import MADE, made

if TYPE_CHECKING:
    from collections.abc import Iterator

MANAGERS = ("ec2", "fargate", "none")
CHOICES: list[dict[str, str]] = [
    {"manager": "ec2", "public_ip": "outbound", "tags": "team=ci"},
    {"manager": "fargate", "images": "no", "task_role": "arn:aws:iam::123456789012:role/ci"},
    {"manager": "none", "public_ip": "ssh", "manager_cidr": "192.0.2.7/32", "spot": "yes"},
]


@pytest.mark.parametrize("choice", CHOICES, ids=MANAGERS)
def test_the_linter_has_nothing_to_say(choice: dict[str, str]) -> None:
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
    role = iam.get_role(RoleName="gitlab-ci-task-execution")["Role"]
    assert role["Arn"] == plan.execution_role_arn
    ecs = aws.create_client("ecs")
    assert ecs.describe_clusters(clusters=["gitlab-ci"])["clusters"][0]["status"] == "ACTIVE"
    described = ecs.describe_task_definition(taskDefinition="ci-job")["taskDefinition"]
    assert described["containerDefinitions"][0]["name"] == "ci-coordinator"
    rules = aws.create_client("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [outputs["TasksSecurityGroup"]]}]
    )["SecurityGroupRules"]
    (inward,) = [rule for rule in rules if not rule["IsEgress"]]
    assert (inward["FromPort"], inward["ToPort"]) == (2222, 2223)
    assert inward["ReferencedGroupInfo"]["GroupId"] == outputs["ManagerSecurityGroup"]


def _unquoted(value: Any) -> Any:
    """What python-hcl2 read, without the quotes that it leaves on."""
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unquoted(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


@pytest.mark.parametrize("choice", CHOICES[:2], ids=MANAGERS[:2])
def test_the_module_parses_and_holds_what_the_template_does(choice: dict[str, str]) -> None:
    plan = made(**choice)
    text = infrastructure.terraform(plan)
    resources = [_unquoted(resource) for resource in hcl2.loads(text)["resource"]]
    kinds = {kind for resource in resources for kind in resource}
    assert {"aws_ecs_cluster", "aws_security_group", "aws_ecs_task_definition"} <= kinds
    assert ("aws_instance" in kinds) == (plan.manager == "ec2")
    assert ("aws_ecs_service" in kinds) == (plan.manager == "fargate")
    assert ("aws_ecr_repository" in kinds) == plan.images
    # An expression of jsonencode is the document itself.
    expected = json.dumps(policy.policy(plan.features, plan.scope), indent=2)
    assert expected in "\n".join(line.removeprefix("    ") for line in text.splitlines())


@pytest.mark.parametrize("manager", ["ec2", "fargate"])
def test_the_managers_script_writes_what_init_writes(manager: str) -> None:
    plan = made(manager)
    words = infrastructure._words(plan, security_group="sg-0abc", runner_version="latest")
    script = words["manager_script"]
    shell = "bash" if manager == "ec2" else "sh"
    assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0
    begin, _, rest = script.partition("fargate.toml <<'END'\n")
    content = tomllib.loads(rest.partition("\nEND\n")[0])
    assert content["Fargate"]["SecurityGroup"] == ["sg-0abc"]
    runner = tomllib.loads(begin.partition("config.toml <<END\n")[2].partition("\nEND\n")[0])
    assert runner["concurrent"] == 50
    assert runner["runners"][0]["token"] in ("$token", "$RUNNER_TOKEN")
