"""The CloudFormation template and the Terraform module: the same things in two languages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fargate_driver.setup import hosts, toml
from fargate_driver.setup.partition import partition_of
from fargate_driver.setup.policy import policy
from fargate_driver.setup.render import render

if TYPE_CHECKING:
    from fargate_driver.setup.plan import Plan


def cloudformation(plan: Plan) -> str:
    """Make the template."""
    return render(
        "cloudformation.yaml",
        _chosen(plan),
        _words(plan, security_group="${TasksSecurityGroup.GroupId}"),
    )


def terraform(plan: Plan) -> str:
    """Make the module."""
    return render(
        "main.tf",
        _chosen(plan),
        _words(plan, security_group="${aws_security_group.tasks.id}"),
    )


def dockerfile(plan: Plan) -> str:
    """Make the source of the image of a manager that runs on Fargate."""
    words = {"driver_package": str(plan.driver_package), "runner": str(plan.runner_version)}
    return render("manager.Dockerfile", set(), words)


def _chosen(plan: Plan) -> set[str]:
    names = {
        "images": plan.images,
        "repository": bool(plan.own_repository(plan.helper_image)),
        "task_role": bool(plan.task_role),
        "hosted": plan.manager != "none",
        "ec2": plan.manager == "ec2",
        "fargate": plan.manager == "fargate",
        "public": plan.public_ip == "outbound",
        "ssh": plan.public_ip == "ssh",
    }
    return {name for name, holds in names.items() if holds}


def _words(plan: Plan, *, security_group: str) -> dict[str, str]:
    """What the templates are filled with: no answer holds a character that needs quoting."""
    tasks = "ecs-tasks.amazonaws.com"
    # EC2 is called otherwise in China, as one of the few.
    manager = f"ec2.{partition_of(plan.region).suffix}" if plan.manager == "ec2" else tasks
    cpu, memory = hosts.fargate_size(plan.limit) or (0, 0)  # of a manager elsewhere, it is unused
    words = {
        "account": plan.account,
        "region": plan.region,
        "vpc": str(plan.vpc),
        "subnets": json.dumps(plan.subnets),
        "manager_cidr": str(plan.manager_cidr),
        "assign_public_ip": "ENABLED" if plan.public_ip == "outbound" else "DISABLED",
        "assign_public_ip_tf": json.dumps(plan.public_ip == "outbound"),
        "cluster": plan.cluster,
        "first_port": str(plan.ssh_ports[0]),
        "last_port": str(plan.ssh_ports[-1]),
        "repository": plan.own_repository(plan.helper_image) or "",
        "execution_role": plan.execution_role_name,
        "task_definition": str(plan.task_definition),
        "task_role": str(plan.task_role),
        "job_image": str(plan.job_image),
        "manager_image": str(plan.manager_image),
        "token_secret": str(plan.token_secret),
        "limit": str(plan.limit),
        "instance_type": hosts.instance_type(plan.limit),
        "manager_cpu": str(cpu),
        "manager_memory": str(memory),
        "records": plan.records,
        "driver_package": str(plan.driver_package),
        "runner": str(plan.runner_version),
        "trust_tasks": _document(_trust(tasks)),
        "trust_manager": _document(_trust(manager)),
        "policy": _document(policy(plan.features, plan.scope)),
        "execution_policy": _document(_of(*_pulls(plan), _logs(plan))),
        "token_policy": _document(_of(_token(plan))),
        "session_policy": _document(_of(_session())),
        "manager_execution_policy": _document(_of(*_pulls(plan), _logs(plan), _token(plan))),
        "fargate_toml": toml.fargate_toml(plan, security_group),
        "runner_config": toml.runner_config(
            plan, "$token" if plan.manager == "ec2" else "$RUNNER_TOKEN"
        ),
    }
    if plan.manager != "none":
        words["manager_script"] = render(f"manager-{plan.manager}.sh", set(), words)
    return words


def _trust(service: str) -> dict[str, Any]:
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return _of(allowed)


def _pulls(plan: Plan) -> list[dict[str, Any]]:
    """Rights to pull from ECR; https://docs.aws.amazon.com/AmazonECR/latest/userguide/security_iam_id-based-policy-examples.html."""
    if not plan.repositories:
        return []
    read = ["BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"]
    return [
        # It is about the whole registry, and can't be limited.
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": [f"ecr:{action}" for action in read],
            "Resource": list(plan.repositories),
        },
    ]


def _logs(plan: Plan) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"{plan.log_group_arn}:log-stream:*",
    }


def _token(plan: Plan) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": plan.token_secret,
    }


def _session() -> dict[str, Any]:
    """Rights for Session Manager's agent; https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html."""
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel")
    return {
        "Effect": "Allow",
        "Action": [
            "ssm:UpdateInstanceInformation",
            *(f"ssmmessages:{action}" for action in (*channels, "OpenDataChannel")),
        ],
        # AWS can't limit the channels, and an instance's id isn't known before it is there.
        "Resource": "*",
    }


def _of(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _document(document: dict[str, Any]) -> str:
    # JSON is YAML, and as an expression also HCL.
    return json.dumps(document, indent=2)
