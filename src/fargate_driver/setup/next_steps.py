"""What is left to do once the files are written."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fargate_driver.helper import image_tag

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
    where = shlex.quote(str(directory))
    steps = [*_before(plan, where), *_deploy(plan, where), *_image(plan)]
    if plan.manager in ("ec2", "fargate"):
        text = "comes online in GitLab by itself; its files are in what was deployed."
        steps.append([f"The runner {plan.name!r} {text}"])
    else:
        steps += _own_host(plan)
    lines = []
    for number, (text, *commands) in enumerate(steps, 1):
        lines.append(f"{number}. {text}")
        lines += [f"     {command}" for command in commands]
    return lines


def _before(plan: Plan, directory: str) -> list[list[str]]:
    found = []
    if plan.token_secret:
        found.append([f"Store the runner's token, glrt-…, as the text of {plan.token_secret}."])
    if plan.manager_image:
        found.append(
            [
                "Build the manager's image, and push it:",
                *_registry(plan, plan.manager_image),
                f"docker build --platform linux/amd64 --tag {plan.manager_image} - \\",
                f"  <{directory}/manager.Dockerfile",
                f"docker push {plan.manager_image}",
            ]
        )
    return found


def _registry(plan: Plan, image: str) -> list[str]:
    """What an image's registry needs before a push, where it is the account's own."""
    repository = plan.own_repository(image)
    if not repository:
        return []
    registry = image.partition("/")[0]
    return [
        f"aws ecr create-repository --region {plan.region} --repository-name {repository}",
        f"aws ecr get-login-password --region {plan.region} |",
        f"  docker login --username AWS --password-stdin {registry}",
    ]


def _image(plan: Plan) -> list[list[str]]:
    if not plan.images:
        if not plan.job_image:
            return []
        return [
            [
                "Build the job image, as docs/job-images.md says, and push it:",
                *_registry(plan, plan.job_image),
                f"docker push {plan.job_image}",
            ]
        ]
    text = "Build and push the tools image; its end prints what belongs into fargate.toml:"
    command = f"fargate helper-image --runner-version {plan.runner_version}"
    if repository := plan.own_repository(plan.helper_image):
        command += f" --region {plan.region} --account {plan.account} --repository {repository}"
        tag = str(plan.helper_image).rpartition("/")[2].partition("@")[0].partition(":")[2]
        if tag and tag != image_tag(str(plan.runner_version)):
            command += f" --tag {tag}"
    return [[text, command]]


def _deploy(plan: Plan, directory: str) -> list[list[str]]:
    where = f"--region {plan.region} --stack-name gitlab-fargate-{plan.cluster}"
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
            ["Attach the output ManagerPolicy to the role of gitlab-runner's host."],
        ]
        if plan.public_ip != "ssh":
            steps.append(["Add the output ManagerSecurityGroup to the host's network interface."])
    return [
        *steps,
        [f"Copy fargate.toml to {plan.config_path} on gitlab-runner's host."],
        ["Put runner-config.toml, with the runner's token, into gitlab-runner's config.toml."],
        ["Run a job from there:", f"fargate try --config {plan.config_path} -- echo hello"],
    ]
