"""`fargate helper-image`: how to build the tools image, and where to put it."""

from __future__ import annotations

import shlex

import click

from fargate_driver.errors import DriverError
from fargate_driver.helper import ToolsError, image_tag, source_directory
from fargate_driver.setup.plan import registry_of

# Builders and emulators: docs.docker.com/build/building/multi-platform.
# GitLab's tags: docs.gitlab.com/runner/configuration/advanced-configuration, "Helper image".
_TEXT = """\
# The tools image of gitlab-fargate-driver, from {directory}/Dockerfile.
# Building it needs Docker with buildx, pushing it the AWS CLI.
# It can be run again: what is there already stays.
set -eu

# One of them alone will do where no job needs the other. Both need an emulator for the other one,
# which Docker Desktop has, and Docker on Linux gets by
#   docker run --privileged --rm tonistiigi/binfmt --install all
platforms=linux/amd64,linux/arm64

# The version of your gitlab-runner, whose helper goes into the image
runner={runner}  # such as 19.4.0; see gitlab-runner --version

registry={registry}
# Another tag for other contents, so that no task gets another image than it was tested with
tag={tag}
helper=registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper
pinned() {{
  docker buildx imagetools inspect --format "$helper:$1@{{{{.Manifest.Digest}}}}" "$helper:$1"
}}
aws ecr describe-repositories --region {region} --repository-names {repository} >/dev/null 2>&1 ||
  aws ecr create-repository --region {region} --repository-name {repository}
if aws ecr describe-images --region {region} --repository-name {repository} \\
  --image-ids "imageTag=$tag" >/dev/null 2>&1; then
  echo "$registry/{repository}:$tag is there already"
else
  amd64=$(pinned "alpine-latest-x86_64-v$runner")
  arm64=$(pinned "alpine-latest-arm64-v$runner")
  password=$(aws ecr get-login-password --region {region})
  printf %s "$password" | docker login --username AWS --password-stdin "$registry"
  # Docker's own builder makes no image for several architectures; this one does.
  docker buildx inspect fargate-helper >/dev/null 2>&1 ||
    docker buildx create --name fargate-helper --driver docker-container
  docker buildx build --builder fargate-helper --platform "$platforms" --push \\
    --build-arg "HELPER_AMD64=$amd64" \\
    --build-arg "HELPER_ARM64=$arm64" \\
    --tag "$registry/{repository}:$tag" \\
    {quoted}
fi

# The task's execution role has to be allowed to pull from the repository.
echo "Now in fargate.toml:
[Images]
Enabled = true
HelperImage = \\"$registry/{repository}:$tag\\""
"""


@click.command(
    "helper-image",
    epilog="\b\nExamples:\n  fargate helper-image\n"
    "  fargate helper-image --region eu-central-1 --account 123456789012 \\\n"
    "    --runner-version 19.4.0\n",
)
@click.option("--region", default="REGION", help="AWS region of the ECR repository.")
@click.option("--account", default="ACCOUNT", help="AWS account of the ECR repository.")
@click.option(
    "--repository", default="fargate-helper", show_default=True, help="The ECR repository's name."
)
@click.option(
    "--runner-version",
    default="RUNNER_VERSION",
    help="The version of your gitlab-runner, such as 19.4.0.",
)
@click.option("--tag", help="The image's tag; else made of its contents and that version.")
def helper_image(
    region: str, account: str, repository: str, runner_version: str, tag: str | None
) -> None:
    """Print the commands that build, push and configure the tools image.

    Nothing is run. What is in capitals is yours to fill in.
    """
    try:
        directory = source_directory()
        tag = shlex.quote(tag) if tag else f'"{image_tag("$runner")}"'
    except ToolsError as error:
        raise DriverError(str(error)) from error
    click.echo(
        _TEXT.format(
            directory=directory,
            runner=shlex.quote(runner_version),
            quoted=shlex.quote(str(directory)),
            region=shlex.quote(region),
            repository=shlex.quote(repository),
            registry=shlex.quote(_registry(account, region)),
            tag=tag,
        ),
        nl=False,
    )


def _registry(account: str, region: str) -> str:
    try:
        return registry_of(account, region)
    except ValueError:
        # A word that is to be filled in.
        return f"{account}.dkr.ecr.{region}.amazonaws.com"
