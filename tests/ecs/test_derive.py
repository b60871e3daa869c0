"""The task definition that is derived for a job, and what RunTask adds to it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from fargate_driver.ecs import launch
from fargate_driver.ecs.base_definition import Base
from fargate_driver.ecs.derive import derive
from fargate_driver.ecs.overrides import overrides
from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab.images import Image, JobImages
from fargate_driver.gitlab.services import Service
from job_response import IMAGES, settings

if TYPE_CHECKING:
    from pathlib import Path

POSTGRES = Service(
    "postgres:17",
    ("postgres", "db"),
    "service-1-db",
    command=("postgres", "-c", "fsync=off"),
    variables=(("POSTGRES_DB", "test"),),
)
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
LOGGING = {"logDriver": "awslogs", "options": {"awslogs-group": "ci"}}
BASE = Base(
    "arn:aws:ecs:us-east-1:123456789012:task-definition/base:3",
    {
        "family": "base",
        "revision": 3,
        "status": "ACTIVE",
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/base:3",
        "compatibilities": ["EC2", "FARGATE"],
        "cpu": "2048",
        "memory": "4096",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "runtimePlatform": {"cpuArchitecture": "ARM64"},
        "volumes": [{"name": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs-0abc"}}],
        "containerDefinitions": [
            {
                "name": "ci-coordinator",
                "image": "fat",
                "essential": True,
                "entryPoint": ["/sshd"],
                "user": "ci",
                "healthCheck": {"command": ["CMD", "sshd-answers"]},
                "portMappings": [{"containerPort": 22}],
                "environment": [{"name": "TZ", "value": "UTC"}],
                "secrets": [{"name": "TOKEN", "valueFrom": f"{SECRET}token-AbCdEf"}],
                "mountPoints": [{"sourceVolume": "efs", "containerPath": "/shared"}],
                "linuxParameters": {"initProcessEnabled": True, "sharedMemorySize": 64},
                "ulimits": [{"name": "nofile", "softLimit": 65535, "hardLimit": 65535}],
                "logConfiguration": LOGGING,
            },
            {"name": "proxy", "image": "envoy", "essential": True},
        ],
    },
    {},
)


def job(*services: Service, image: str = "python:3.13", user: str | None = None) -> JobImages:
    return JobImages(Image(image, user), services, None, ())


def containers(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in request["containerDefinitions"]}


def mistakes(operation: str, request: dict[str, Any]) -> str:
    """What of a request is not as ECS's model has it."""
    model = botocore.session.Session().get_service_model("ecs").operation_model(operation)
    report: str = ParamValidator().validate(request, model.input_shape).generate_report()
    return report


@pytest.mark.parametrize("base", [None, BASE])
def test_a_running_stage_has_two_minutes_when_spot_takes_its_capacity_back(
    tmp_path: Path, base: Base | None
) -> None:
    made = containers(derive(settings(tmp_path), job(POSTGRES), None, base))
    # Fargate gives 120 s at most, and 30 where nothing is said.
    for name in ("ci-coordinator", "helper"):
        assert made[name]["essential"]
        assert made[name]["stopTimeout"] == 120


def test_the_containers_of_a_job(tmp_path: Path) -> None:
    request = derive(settings(tmp_path), job(POSTGRES), None, None)
    assert request["family"].startswith("gitlab-fargate-driver-")
    assert (request["cpu"], request["memory"]) == ("1024", "2048")
    assert request["networkMode"] == "awsvpc"
    assert request["runtimePlatform"] == {
        "cpuArchitecture": "X86_64",
        "operatingSystemFamily": "LINUX",
    }
    assert [one["name"] for one in request["volumes"]] == [
        "fargate-tools",
        "fargate-builds",
        "fargate-cache",
    ]
    found = containers(request)
    assert list(found) == ["injector", "ci-coordinator", "helper", "service-1-db"]
    injector, script, helper, service = found.values()
    # With a command of their own none of the image's is in the way.
    assert injector["entryPoint"] == ["/opt/fargate/inject"]
    assert injector["command"] == ["/mnt/fargate", "/builds", "/cache"]
    assert helper["entryPoint"] == script["entryPoint"] == ["/opt/fargate/init"]
    assert helper["command"] == ["--port", "2223", "--umask", "0", "--hosts", "postgres,db"]
    assert script["command"] == ["--port", "2222", "--hosts", "postgres,db"]
    assert [one["essential"] for one in found.values()] == [False, True, True, False]
    assert injector["user"] == helper["user"] == "0"
    assert "user" not in script
    assert [mount["containerPath"] for mount in script["mountPoints"]] == [
        "/opt/fargate",
        "/builds",
        "/cache",
    ]
    assert script["mountPoints"][0]["readOnly"] is True
    waits = [{"containerName": "injector", "condition": "SUCCESS"}]
    assert helper["dependsOn"] == script["dependsOn"] == service["dependsOn"] == waits
    assert service["command"] == ["postgres", "-c", "fsync=off"]
    assert "POSTGRES_DB" not in json.dumps(request)


def test_the_family_is_the_same_for_the_same_job_and_another_for_another(tmp_path: Path) -> None:
    config = settings(tmp_path)
    same = [derive(config, job(POSTGRES), None, BASE) for _ in range(2)]
    assert same[0] == same[1]
    per_job = POSTGRES.__class__("postgres:17", ("postgres", "db"), "service-1-db", None, None)
    others = [
        derive(config, job(), None, BASE),
        derive(config, job(per_job), None, BASE),
        derive(config, job(POSTGRES, image="python:3.12"), None, BASE),
        derive(config, job(POSTGRES, user="1000"), None, BASE),
        derive(config, job(POSTGRES), "X86_64", BASE),
        derive(config, job(POSTGRES), None, BASE._replace(arn="base:4")),
        derive(settings(tmp_path, IMAGES + "CPU = 4096"), job(POSTGRES), None, BASE),
    ]
    assert len({request["family"] for request in [*same, *others]}) == len(others) + 1


def test_a_base_keeps_what_is_not_about_its_image(tmp_path: Path) -> None:
    before = copy.deepcopy(BASE)
    request = derive(settings(tmp_path), job(POSTGRES), None, BASE)
    assert before == BASE
    assert mistakes("RegisterTaskDefinition", request) == ""
    found = containers(request)
    assert list(found)[-1] == "proxy"
    script = found["ci-coordinator"]
    assert script["image"] == "python:3.13"
    assert script["environment"] == [{"name": "TZ", "value": "UTC"}]
    assert script["secrets"][0]["name"] == "TOKEN"
    assert script["mountPoints"][-1] == {"sourceVolume": "efs", "containerPath": "/shared"}
    assert script["linuxParameters"] == {"initProcessEnabled": False, "sharedMemorySize": 64}
    assert not script.keys() & {"healthCheck", "portMappings", "user"}
    assert "ulimits" in script
    ours = [found[name] for name in ("injector", "helper", "ci-coordinator", "service-1-db")]
    assert all(one["logConfiguration"] == LOGGING for one in ours)
    assert not any("secrets" in one for one in ours if one is not script)
    assert (request["cpu"], request["memory"]) == ("2048", "4096")
    assert request["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert request["executionRoleArn"] == "arn:aws:iam::123456789012:role/execution"
    assert not request.keys() & {"revision", "status", "taskDefinitionArn", "compatibilities"}
    assert request["volumes"][-1]["name"] == "efs"


def test_a_base_may_bring_the_volume_of_caches(tmp_path: Path) -> None:
    content = copy.deepcopy(BASE.content)
    mount = {"sourceVolume": "efs", "containerPath": "/cache/"}
    content["containerDefinitions"][0]["mountPoints"].append(mount)
    found = containers(derive(settings(tmp_path), job(POSTGRES), None, Base("a", content, {})))
    for name in ("ci-coordinator", "helper", "service-1-db"):
        mounts = [one for one in found[name]["mountPoints"] if "cache" in one["containerPath"]]
        assert mounts == [mount]
    others = [one["containerPath"] for one in found["ci-coordinator"]["mountPoints"]]
    assert others == ["/opt/fargate", "/builds", "/cache/", "/shared"]
    # Nobody else says who may write to the operator's volume.
    injector = found["injector"]
    assert injector["command"] == ["/mnt/fargate", "/builds"]
    assert [one["sourceVolume"] for one in injector["mountPoints"]] == [
        "fargate-tools",
        "fargate-builds",
    ]


@pytest.mark.parametrize("folder", ["/opt/fargate", "/mnt/fargate/x/"])
def test_folders_of_jobs_are_apart_from_the_tools(tmp_path: Path, folder: str) -> None:
    config = settings(tmp_path)
    fargate = config.fargate.model_copy(update={"builds_dir": folder})
    config = config.model_copy(update={"fargate": fargate})
    with pytest.raises(DriverError, match=r"BuildsDir and CacheDir: .* own tools"):
        derive(config, job(), None, None)


def test_what_a_base_loses_is_told(tmp_path: Path) -> None:
    assert BASE.lost("ci-coordinator") == ""
    content = copy.deepcopy(BASE.content)
    content |= {
        "pidMode": "task",
        "ipcMode": "task",
        "placementConstraints": [{"type": "distinctInstance"}],
        "inferenceAccelerators": [],
        "networkMode": "awsvpc",
        "enableFaultInjection": True,
        "proxyConfiguration": {"type": "APPMESH", "containerName": "proxy"},
        "registeredBy": "arn:aws:iam::123456789012:role/ci",
    }
    script, proxy = content["containerDefinitions"]
    script |= {"restartPolicy": {"enabled": True}, "links": [], "startTimeout": 30}
    proxy["dependsOn"] = [
        {"containerName": "ci-coordinator", "condition": "HEALTHY"},
        {"containerName": "other", "condition": "START"},
    ]
    base = Base(BASE.arn, content, {})
    assert base.lost("ci-coordinator") == (
        "ipcMode, pidMode, placementConstraints, restartPolicy of ci-coordinator, that proxy waits"
        " for ci-coordinator to be healthy"
    )
    request = derive(settings(tmp_path), job(), None, base)
    assert mistakes("RegisterTaskDefinition", request) == ""
    assert request["enableFaultInjection"] is True
    assert request["proxyConfiguration"]["containerName"] == "proxy"
    found = containers(request)
    assert [one["condition"] for one in found["proxy"]["dependsOn"]] == ["START", "START"]
    assert found["ci-coordinator"]["startTimeout"] == 30


def test_the_settings_size_reaches_the_bases_limits(tmp_path: Path) -> None:
    content = copy.deepcopy(BASE.content)
    content["containerDefinitions"][0] |= {"memory": 3584, "cpu": 1024}
    base = Base(BASE.arn, content, {})
    same = containers(derive(settings(tmp_path), job(), None, base))["ci-coordinator"]
    assert (same["cpu"], same["memory"]) == (1024, 3584)
    config = settings(tmp_path, IMAGES + "CPU = 4096\nMemory = 8192\n")
    larger = containers(derive(config, job(), None, base))["ci-coordinator"]
    assert (larger["cpu"], larger["memory"]) == (3072, 7680)


@pytest.mark.parametrize("limit", ["cpu", "memory"])
def test_a_size_that_has_no_room_is_named_by_its_keys(tmp_path: Path, limit: str) -> None:
    content = copy.deepcopy(BASE.content)
    for container in content["containerDefinitions"]:
        container[limit] = 1024
    size = "CPU = 256\nMemory = 1024\n"
    config = settings(tmp_path, IMAGES + f'{size}BaseTaskDefinition = "base"\n')
    with pytest.raises(DriverError, match=r"\[Images\] CPU and Memory: .* base: of .* take 1024"):
        derive(config, job(), None, Base(BASE.arn, content, {}))


def test_settings_beat_the_base(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/ci"
    text = f'CPU = 4096\nMemory = 8192\nArchitecture = "X86_64"\nTaskRole = "{role}"\n'
    more = 'RunAs = "root"\nEphemeralStorage = 50\nSSHPort = 3000\n'
    request = derive(settings(tmp_path, IMAGES + text + more), job(), None, BASE)
    assert (request["cpu"], request["memory"], request["taskRoleArn"]) == ("4096", "8192", role)
    assert request["runtimePlatform"]["cpuArchitecture"] == "X86_64"
    assert request["ephemeralStorage"] == {"sizeInGiB": 50}
    script = containers(request)["ci-coordinator"]
    assert (script["user"], script["command"][1]) == ("0", "3000")


def test_registry_credentials_by_the_closest_pattern(tmp_path: Path) -> None:
    patterns = {"registry.example.com": "all", "registry.example.com/team/**": "team"}
    patterns |= {"docker.io/library/*": "hub", "*.example.com:5000": "port"}
    lines = "".join(f'"{key}" = "{SECRET}{value}-AbCdEf"\n' for key, value in patterns.items())
    config = settings(tmp_path, IMAGES + "[Images.RegistryCredentials]\n" + lines)

    def secret(image: str) -> str | None:
        found = containers(derive(config, job(image=image), None, None))
        credentials = found["ci-coordinator"].get("repositoryCredentials", {})
        arn: str = credentials.get("credentialsParameter", "")
        return arn.removeprefix(SECRET).removesuffix("-AbCdEf")

    assert secret("registry.example.com/a:1") == "all"
    assert secret("registry.example.com/team/a/b:1") == "team"
    assert secret("python:3.13") == "hub"
    assert secret("registry.example.com:5000/a") == "port"
    assert secret("example/private") == ""


def test_too_many_services(tmp_path: Path) -> None:
    def services(count: int) -> JobImages:
        return job(*(Service("a", (f"a{n}",), f"service-{n}-a") for n in range(count)))

    config = settings(tmp_path)
    assert len(derive(config, services(7), None, None)["containerDefinitions"]) == 10
    with pytest.raises(JobConfigurationError, match="leaves room for 7 services"):
        derive(config, services(8), None, None)
    with pytest.raises(JobConfigurationError, match="leaves room for 6 services"):
        derive(config, services(7), None, BASE)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"volumes": [{"name": "fargate-cache"}]}, "a volume named fargate-cache"),
        ({"containerDefinitions": [{"name": "helper", "image": "x"}]}, "a container named helper"),
    ],
)
def test_names_that_the_driver_needs(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    base = BASE._replace(content=BASE.content | change)
    config = settings(tmp_path, IMAGES + 'BaseTaskDefinition = "base"\n')
    with pytest.raises(DriverError, match=f"BaseTaskDefinition: base has {what}"):
        derive(config, job(), None, base)


def test_what_run_task_adds(tmp_path: Path) -> None:
    config = settings(tmp_path)
    secret = Service("b", ("b",), "service-2-b", command=("--x", "y"), secret_command=True)
    images = job(POSTGRES, secret)
    found = overrides(
        config, images, "ssh-ed25519 AAAA job", 7200, task={"cpu": "2048"}, limits={"memory": 9}
    )
    request = launch.request(config, "unused", None, definition="family:1", overrides=found)
    assert mistakes("RunTask", request) == ""
    assert request["taskDefinition"] == "family:1"
    assert request["overrides"]["cpu"] == "2048"
    by_name = {one["name"]: one for one in request["overrides"]["containerOverrides"]}
    assert list(by_name) == ["ci-coordinator", "helper", "service-1-db", "service-2-b"]
    assert by_name["ci-coordinator"]["memory"] == 9
    assert by_name["helper"]["environment"] == [
        {"name": "SSH_PUBLIC_KEY", "value": "ssh-ed25519 AAAA job"},
        {"name": "FARGATE_MAX_LIFETIME", "value": "7200"},
    ]
    assert by_name["service-1-db"]["environment"] == [{"name": "POSTGRES_DB", "value": "test"}]
    assert by_name["service-2-b"] == {"name": "service-2-b", "command": ["--x", "y"]}
    definition = derive(config, images, None, None)
    assert "command" not in containers(definition)["service-2-b"]


def test_overrides_that_are_too_long(tmp_path: Path) -> None:
    big = Service("a", ("a",), "service-1-a", variables=(("BIG", "x" * 8000), ("B\n", "y" * 300)))
    with pytest.raises(JobConfigurationError) as caught:
        overrides(settings(tmp_path), job(big, POSTGRES), "key", 7200, task={}, limits={})
    text = str(caught.value)
    assert "characters long; ECS takes 8192" in text
    assert "the longest: BIG of a (8000), B of a (300), POSTGRES_DB of db (4)" in text
    assert text.isprintable()
