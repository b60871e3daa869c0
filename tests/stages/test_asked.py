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
    )
    return Ecs(target, deadline=time.monotonic() + 60)


def request(ecs: Ecs, folder: Path, *, image: bool, **size: str) -> dict[str, Any]:
    """RunTask's parameters for a job that chooses a size."""
    env = job_environment(
        folder,
        image="python:3.13" if image else None,
        expanded={f"FARGATE_{key}": value for key, value in size.items()},
    )
    text = MINIMAL.replace('"ci-coordinator"', '"limited"').replace("/var/lib", str(folder))
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
