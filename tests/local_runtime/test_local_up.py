"""Image mode's task through the whole of `fargate local up`, by botocore."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from fargate_driver.local.image_store.store import Store
from fargate_driver.local.runtimes.login import make_key
from local_fargate import local_fargate, until
from local_runtime.image_lab import busybox_layer, ssh_with
from local_runtime.runtime_lab import ISOLATED

if TYPE_CHECKING:
    from pathlib import Path

TOOLS, SHARED = "/opt/fargate", [("builds", "/builds"), ("cache", "/cache")]


def container(name: str, image: str, *entry_point: str, **more: Any) -> dict[str, Any]:
    """Return a container definition."""
    mounts = [*SHARED, *more.pop("mounts", [])]
    return {
        "name": name,
        "image": image,
        "entryPoint": list(entry_point),
        "mountPoints": [{"sourceVolume": one, "containerPath": path} for one, path in mounts],
        **more,
    }


def definition(image: str, service: str) -> dict[str, Any]:
    """Return a task definition as image mode derives it."""
    after: dict[str, Any] = {"dependsOn": [{"containerName": "injector", "condition": "SUCCESS"}]}
    check = ["CMD-SHELL", "test -e /builds/served"]
    return {
        "family": "derived",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "volumes": [{"name": name} for name in ("tools", "builds", "cache")],
        "containerDefinitions": [
            container(
                *("injector", "fargate-helper", f"{TOOLS}/inject", "/mnt/fargate", "/builds"),
                essential=False,
                mounts=[("tools", "/mnt/fargate")],
            ),
            container("helper", "fargate-helper", f"{TOOLS}/init", "--port", "2223", **after),
            container("job", image, f"{TOOLS}/init", mounts=[("tools", TOOLS)], **after)
            | {"command": ["--port", "2222", "--hosts", "web"]},
            container(
                *("service", service, "/bin/sh", "-c", "touch /builds/served; sleep 1000"),
                essential=False,
                healthCheck={"command": check, "interval": 5, "retries": 10},
                **after,
            ),
        ],
    }


@pytest.mark.parametrize("name", ISOLATED)
def test_a_task_of_image_mode(name: str, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(busybox_layer())
    key = tmp_path / "key"
    public_key = asyncio.run(make_key(key))
    with local_fargate(tmp_path / "fargate", runtime=name, options=("--time-scale", "0.1")) as here:
        Store(here.directory / "images").add("library/busybox:1", tmp_path / "image.tar")
        ecs = botocore.session.Session().create_client(
            "ecs",
            region_name="us-east-1",
            endpoint_url=here.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        variables = [{"name": "SSH_PUBLIC_KEY", "value": public_key}]

        def run(image: str, service: str) -> str:
            made = ecs.register_task_definition(**definition(image, service))
            started = ecs.run_task(
                taskDefinition=made["taskDefinition"]["taskDefinitionArn"],
                launchType="FARGATE",
                networkConfiguration={
                    "awsvpcConfiguration": {"subnets": ["subnet-0abc0abc0abc0abc0"]}
                },
                overrides={
                    "containerOverrides": [
                        {"name": one, "environment": variables} for one in ("helper", "job")
                    ]
                },
            )
            return str(started["tasks"][0]["taskArn"])

        def described(arn: str) -> dict[str, Any]:
            task: dict[str, Any] = ecs.describe_tasks(tasks=[arn])["tasks"][0]
            return task

        def containers(arn: str) -> dict[str, dict[str, Any]]:
            return {one["name"]: one for one in described(arn)["containers"]}

        arn = run("busybox:1", "docker.io/library/busybox:1")
        until(lambda: described(arn)["lastStatus"] in {"RUNNING", "STOPPED"}, seconds=120)
        until(lambda: containers(arn)["service"]["healthStatus"] == "HEALTHY")
        details = described(arn)["attachments"][0]["details"]
        address = next(one["value"] for one in details if one["name"] == "privateIPv4Address")
        assert asyncio.run(ssh_with(key, address, 2222, "ls /builds; exit 4"))[:2] == (
            4,
            "served\n",
        )
        assert asyncio.run(ssh_with(key, address, 2223, "rm /builds/served"))[0] == 0
        assert containers(arn)["injector"]["exitCode"] == 0
        ecs.stop_task(task=arn)
        until(lambda: described(arn)["lastStatus"] == "STOPPED")
        assert containers(arn)["job"]["exitCode"] == 143

        arn = run("busybox:1", "nowhere:1")
        until(lambda: described(arn)["lastStatus"] == "STOPPED")
        assert "CannotPullContainerError" in described(arn)["stoppedReason"]
        assert "docker.io/library/nowhere:1: not found" in described(arn)["stoppedReason"]
        here.assert_nothing_left()
