"""What a job asks for, as far as ECS has to be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from fargate_driver.ecs import diagnosis, launch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import TaskStoppedError
from fargate_driver.ecs.target import Target
from fargate_driver.errors import JobConfigurationError
from fargate_driver.gitlab import job
from fargate_driver.settings import load
from fargate_driver.stages import asked, prepare
from front_calls import MINIMAL, flags
from job_response import IMAGES, job_environment, settings

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


RESOLVE = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to"
NOT_FOUND = RESOLVE + " resolve ref {0}: {0}: not found"
HELPER = "registry.example.com/fargate-helper:1"


@pytest.fixture(scope="module")
def beside(ecs: Ecs, tmp_path_factory: pytest.TempPathFactory) -> asked.Asked:
    """A job with an image and a service of its author's, beside a container of the operator's."""
    folder = tmp_path_factory.mktemp("asked")
    env = job_environment(folder, image="python:3.13", services=["postgres"])
    wanted = asked.read(settings(folder, f'{IMAGES}BaseTaskDefinition = "limited"\n', env), env)
    wanted.resolve(ecs, time.monotonic() + 30)
    return wanted


@pytest.mark.parametrize(
    ("image", "container", "told"),
    [
        ("docker.io/library/python:3.13", "ci-coordinator", "image python:3.13: "),
        ("docker.io/library/python:3.13", "", "image python:3.13: "),
        ("docker.io/library/postgres:latest", "service-1-postgres", "service postgres: "),
        ("docker.io/library/postgres:latest", "", "service postgres: "),
        (HELPER, "injector", "[Images] HelperImage: "),
        (HELPER, "", "[Images] HelperImage: "),
        ("docker.io/library/x:latest", "proxy", "[Images] BaseTaskDefinition: "),
        ("docker.io/library/x:latest", "", "[Images] BaseTaskDefinition: "),
        # Nobody's, so not the author's.
        ("docker.io/library/other:1", "", ""),
        ("NO-NAME/", "", ""),
    ],
)
def test_only_what_the_author_chose_is_the_authors(
    beside: asked.Asked, image: str, container: str, told: str
) -> None:
    reason = NOT_FOUND.format(image)
    task: dict[str, Any] = {"stopCode": "TaskFailedToStart", "stoppedReason": reason}
    task["containers"] = [
        {"name": one["name"]} for one in beside.definition["containerDefinitions"]
    ]
    for one in task["containers"]:
        if one["name"] == container:
            one["reason"] = reason
    verdict = diagnosis.of_stopped_task(task, "ci-coordinator", chosen=beside.chosen)
    assert verdict.name == "image-not-found"
    failed = beside.blamed(TaskStoppedError("it stopped", task, verdict))
    assert str(failed) == f"{told}it stopped"
    authors = told.startswith(("image ", "service "))
    assert isinstance(failed, JobConfigurationError) is authors


def test_the_default_image_is_the_operators_beside_services_of_the_author(tmp_path: Path) -> None:
    env = job_environment(tmp_path, image=None, services=["postgres"])
    wanted = asked.read(settings(tmp_path, f'{IMAGES}DefaultImage = "python:3.13"\n', env), env)
    authors = [wanted.is_authors(name) for name in ("ci-coordinator", "service-1-postgres")]
    assert authors == [False, True]


def test_what_is_ignored_is_printable(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    env = job_environment(tmp_path, image="a\033[2Jb", services=["c\r\nfargate: d", "e"])
    prepare._say_what_is_ignored(job.load(env))
    said = "image: a[2Jb; services: cfargate: d, e (the task definition names the job's image)"
    assert capfd.readouterr().err == f"fargate: ignored: {said}\n"


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
