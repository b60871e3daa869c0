"""What is left to do once the files are written."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from fargate_driver.setup.plan import Plan


def of(plan: Plan, directory: Path) -> list[str]:
    """List the steps.

    Args:
        plan: What is set up.
        directory: Where the files are.

    Returns:
        Lines of text; those to run are indented.
    """
    steps = [*_before(plan), *_deploy(plan, shlex.quote(str(directory))), *_image(plan)]
    if plan.manager in ("ec2", "fargate"):
        steps.append([f"The runner {plan.name!r} comes online in GitLab by itself."])
    else:
        steps += _own_host(plan)
    lines = []
    for number, (text, *commands) in enumerate(steps, 1):
        lines.append(f"{number}. {text}")
        lines += [f"     {command}" for command in commands]
    return lines


def _before(plan: Plan) -> list[list[str]]:
    found = []
    if plan.token_secret:
        found.append([f"Store the runner's token, glrt-…, as the text of {plan.token_secret}."])
    if plan.manager_image:
        found.append([f"Build and push {plan.manager_image}: docs/first-job-on-aws.md."])
    return found


def _image(plan: Plan) -> list[list[str]]:
    if plan.images:
        return [
            [
                "Build and push the tools image; its end prints what belongs into fargate.toml:",
                f"fargate helper-image --region {plan.region} --account {plan.account}",
            ]
        ]
    if plan.job_image:
        return [[f"Build and push the job image, {plan.job_image}: docs/job-images.md."]]
    return []


def _deploy(plan: Plan, directory: str) -> list[list[str]]:
    where = f"--region {plan.region} --stack-name {_stack(plan)}"
    if plan.infrastructure == "cloudformation":
        return [
            [
                "Deploy:",
                f"aws cloudformation deploy {where} --capabilities CAPABILITY_NAMED_IAM \\",
                f"  --template-file {directory}/cloudformation.yaml",
                f"aws cloudformation describe-stacks {where} --query 'Stacks[0].Outputs'",
            ]
        ]
    if plan.infrastructure == "terraform":
        return [
            ["Deploy:", f"terraform -chdir={directory} init", f"terraform -chdir={directory} apply"]
        ]
    return [["Give the role of gitlab-runner's host the rights in policy.json."]]


def _own_host(plan: Plan) -> list[list[str]]:
    steps = []
    if plan.infrastructure != "none":
        steps += [
            ["Write the output TasksSecurityGroup into fargate.toml, as SecurityGroup."],
            ["Give gitlab-runner's host the outputs ManagerPolicy and ManagerSecurityGroup."],
        ]
    return [
        *steps,
        [f"Copy fargate.toml to {plan.config_path} on gitlab-runner's host."],
        ["Put runner-config.toml, with the runner's token, into gitlab-runner's config.toml."],
        ["Run a job from there:", f"fargate try --config {plan.config_path} -- echo hello"],
    ]


def _stack(plan: Plan) -> str:
    # Names of stacks have no underscore (API_CreateStack).
    return f"gitlab-fargate-{plan.cluster.replace('_', '-')}"
