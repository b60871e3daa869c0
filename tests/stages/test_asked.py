"""What a job asks for, as far as ECS has to be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from fargate_driver.ecs import launch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.target import Target
from fargate_driver.errors import JobConfigurationError
from fargate_driver.settings import load
from fargate_driver.stages import asked
from front_calls import MINIMAL, flags
from job_response import IMAGES, job_environment

if TYPE_CHECKING:
    from pathlib import Path

    from local_fargate import LocalFargate

ALLOW = '[Allow]\nMaxCPU = "4 vCPU"\nMaxMemory = "16 GB"\n'
LIMITED: list[dict[str, Any]] = [
    {"name": "ci-coordinator", "image": "x", "cpu": 768, "memory": 1536},
    {"name": "proxy", "image": "x", "memory": 512},
]


@pytest.fixture(scope="module")
def ecs(shared: LocalFargate) -> Ecs:
    target = Target("us-east-1", "ci", shared.url)
    client = botocore.session.Session().create_client(
        "ecs",
        region_name=target.region,
        endpoint_url=shared.url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.register_task_definition(
        family="limited",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="1024",
        memory="2048",
        containerDefinitions=LIMITED,
        runtimePlatform={"cpuArchitecture": "ARM64"},
        tags=[{"key": "team", "value": "ci"}, {"key": "stage", "value": "base"}],
    )
    return Ecs(target, deadline=time.monotonic() + 60)


def request(
    ecs: Ecs, folder: Path, *, image: bool | dict[str, Any], fargate: str = "", **size: str
) -> dict[str, Any]:
    """RunTask's parameters for a job that chooses a size."""
    env = job_environment(
        folder,
        image={True: "python:3.13", False: None}[image] if isinstance(image, bool) else image,
        expanded={f"FARGATE_{key}": value for key, value in size.items()},
    )
    text = MINIMAL.replace('"ci-coordinator"', '"limited"').replace("/var/lib", str(folder))
    text = text.replace("[TaskM", f"{fargate}\n[TaskM")
    text += ALLOW + (f'{IMAGES}BaseTaskDefinition = "limited"\n' if image else "")
    path = folder / "fargate.toml"
    path.write_text(text)
    config = load(flags(config=str(path)), env).settings
    wanted = asked.read(config, env)
    wanted.resolve(ecs, time.monotonic() + 30)
    return launch.request(wanted.config, "key", None, **wanted.parameters("key", 60))


@pytest.mark.parametrize("image", [True, False])
def test_a_size_reaches_a_container_with_limits_of_its_own(
    ecs: Ecs, tmp_path: Path, *, image: bool
) -> None:
    made = request(ecs, tmp_path, image=image, CPU="2048", MEMORY="8 GB")
    overrides = made["overrides"]
    assert (overrides["cpu"], overrides["memory"]) == ("2048", "8192")
    script = overrides["containerOverrides"][0]
    assert (script["cpu"], script["memory"]) == (1792, 7680)
    assert script["environment"][0]["name"] == "SSH_PUBLIC_KEY"
    with pytest.raises(JobConfigurationError, match="FARGATE_MEMORY: of 512 MiB the other"):
        request(ecs, tmp_path, image=image, CPU="256", MEMORY="512")


def test_a_task_definition_that_cannot_be_read_is_used_all_the_same(
    fargate: LocalFargate, ecs: Ecs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fargate.faults(
        {
            "operation": "DescribeTaskDefinition",
            "error": "AccessDeniedException",
            "message": "User: x is not authorized to perform: ecs:DescribeTaskDefinition",
        }
    )
    made = request(ecs, tmp_path, image=False, CPU="2048", MEMORY="8 GB")
    assert made["overrides"]["memory"] == "8192"
    assert "memory" not in made["overrides"]["containerOverrides"][0]
    (line,) = capfd.readouterr().err.splitlines()
    assert "where the container has limits of its own, they stay" in line
    # Who chooses nothing needs no right for it.
    before = len(fargate.calls())
    request(ecs, tmp_path, image=False)
    assert len(fargate.calls()) == before


def test_the_bases_tags_go_to_the_task_alone(
    ecs: Ecs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right to tag task definitions is in no policy, and nobody may give tags of AWS's own."""
    describe = ecs.describe_task_definition

    def with_awss(name: str, *, tags: bool = False) -> tuple[dict[str, Any], list[dict[str, str]]]:
        content, found = describe(name, tags=tags)
        return content, [*found, {"key": "aws:cloudformation:stack-name", "value": "ci"}]

    monkeypatch.setattr(ecs, "describe_task_definition", with_awss)
    tags = 'PropagateTags = true\nTags = {stage = "own"}'
    made = request(ecs, tmp_path, image=True, fargate=tags)
    assert {tag["key"]: tag["value"] for tag in made["tags"]} == {"team": "ci", "stage": "own"}
    assert describe(made["taskDefinition"], tags=True)[1] == []


def test_a_platform_is_judged_by_what_the_base_has(ecs: Ecs, tmp_path: Path) -> None:
    def image(platform: str) -> dict[str, Any]:
        return {"name": "python:3.13", "executor_opts": {"docker": {"platform": platform}}}

    made = request(ecs, tmp_path, image=image("linux/arm64"))
    assert made["taskDefinition"]
    with pytest.raises(JobConfigurationError, match="platform: 'X86_64' can't be chosen"):
        request(ecs, tmp_path, image=image("linux/amd64"))
