"""Images, services and sizes that don't work, and what is said about them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import botocore.session

import image_kinds
from driver_calls import JobCalls
from e2e_jobs import Run, new_job, run_job
from fargate_driver.runner.job import Variable
from fargate_driver.runner.scripts import Stage, stage_script
from free_port import free_port
from image_jobs import image_job, service

if TYPE_CHECKING:
    from pathlib import Path

    from local_fargate import LocalFargate


def prepare(
    fargate: LocalFargate, directory: Path, *changes: tuple[str, str], **response: Any
) -> tuple[int, list[str]]:
    """Call prepare with other settings; its exit code and what it said of a failure."""
    text = fargate.config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    directory.mkdir()
    config = directory / "fargate.toml"
    config.write_text(text)
    job = JobCalls(directory / "t", config, 17, **response)
    done = job.call("prepare")
    assert job.call("cleanup").returncode == 0
    return done.returncode, (done.stdout + done.stderr).splitlines()


def only_the_script(stage: Stage) -> str | None:
    """Leave out the stages that are not looked at."""
    return stage_script(stage) if stage.name in ("get_sources", "build_script") else None


def test_an_image_without_a_shell_is_its_authors(
    fargate: LocalFargate, store: Path, tmp_path: Path
) -> None:
    image_kinds.add(store, "none")
    code, said = prepare(fargate, tmp_path / "job", image={"name": image_kinds.NAMES["none"]})
    assert code == 1, said
    assert f"fargate: image: {image_kinds.NAMES['none']}: the job's image has " in said[-1]
    assert "no shell" in said[-1]


def test_missing_images(fargate: LocalFargate, store: Path, tmp_path: Path) -> None:
    reason = "CannotPullContainerError"
    code, said = prepare(fargate, tmp_path / "job", image={"name": "python:3.99"})
    assert code == 1, said
    assert "fargate: image python:3.99: the task stopped: " in said[-1]
    assert "docker.io has no image docker.io/library/python:3.99" in said[-1]
    assert said[-1].count(reason) == 1
    image_kinds.add(store, "alone")
    code, said = prepare(
        fargate,
        tmp_path / "helper",
        ('"fargate-helper"', '"registry.example.com/tools:1"'),
        image={"name": image_kinds.NAMES["alone"]},
    )
    assert code == 2, said
    assert "fargate: [Images] HelperImage: the task stopped: " in said[-1]
    assert "has no image registry.example.com/tools:1" in said[-1]
    assert said[-1].count(reason) == 1
    code, said = prepare(
        fargate,
        tmp_path / "default",
        ("[Images]", '[Images]\nDefaultImage = "registry.example.com/default:1"'),
        services=[{"name": image_kinds.NAMES["alone"]}],
    )
    assert code == 2, said
    assert "fargate: [Images] DefaultImage: the task stopped: " in said[-1]


def test_sizes_and_a_silent_service(fargate: LocalFargate, store: Path) -> None:
    allow = '\n[Allow]\nMaxCPU = "4 vCPU"\nMaxMemory = "16 GB"\nMaxEphemeralStorage = 50\n'
    before = fargate.config.read_text()
    size = [
        Variable("FARGATE_CPU", "512"),
        Variable("FARGATE_MEMORY", "3 GB"),
        Variable("FARGATE_EPHEMERAL_STORAGE", "33"),
    ]
    port = free_port()
    silent = service("mute", HEALTHCHECK_TCP_PORT=str(port))
    dying = service("dying", DIE="3", HEALTHCHECK_TCP_PORT=str(free_port()))

    async def all_at_once() -> list[Run]:
        jobs = (
            image_job(store, "alone", ["echo ran"], services=[silent], variables=size),
            image_job(store, "alone", ["echo ran"], services=[dying], variables=size),
            new_job(["echo ran"], variables=size),
        )
        return await asyncio.gather(
            *(Run(fargate, job, scripts=only_the_script).go() for job in jobs)
        )

    fargate.config.write_text(before + allow)
    try:
        runs = asyncio.run(all_at_once())
    finally:
        fargate.config.write_text(before)
    for run in runs:
        assert run.result.status == "success", str(run)
    assert f"doesn't listen at port {port} after 30 s (HEALTHCHECK_TCP_PORT): its container is" in (
        runs[0].text
    )
    # One that has ended is not waited for.
    assert "ended: its container is STOPPED, exit code 3" in runs[1].text
    assert "after 30 s" not in runs[1].text
    for task in fargate.tasks()[-3:]:
        assert (task["cpu"], task["memory"]) == ("512", "3072")
        assert task["ephemeralStorage"] == {"sizeInGiB": 33}


def test_read_only_root_and_logs_of_a_base_task_definition(
    fargate: LocalFargate, store: Path
) -> None:
    container = {
        "name": "ci-coordinator",
        "image": "registry.example.com/unused:1",
        "readonlyRootFilesystem": True,
        "environment": [{"name": "FROM_BASE", "value": "kept"}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "ci",
                "awslogs-region": "eu-central-1",
                "awslogs-stream-prefix": "job",
            },
        },
    }
    ecs = botocore.session.get_session().create_client(
        "ecs",
        endpoint_url=fargate.url,
        region_name=fargate.settings["Fargate"]["Region"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    ecs.register_task_definition(
        family="base",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::123456789012:role/execution",
        containerDefinitions=[container],
    )
    before = fargate.config.read_text()
    fargate.config.write_text(before.replace("[Images]", '[Images]\nBaseTaskDefinition = "base"'))
    script = ["echo $FROM_BASE; if echo x >/file; then exit 9; fi; wget -q -O - http://web:$PORT"]
    port = str(free_port())
    web = service("web", PORT=port, HEALTHCHECK_TCP_PORT=port)
    try:
        variables = [Variable("PORT", port)]
        services = [web, service("dying", DIE="3")]
        job = image_job(store, "alone", script, services=services, variables=variables)
        run = run_job(fargate, job)
    finally:
        fargate.config.write_text(before)
    assert run.result.status == "success", str(run)
    assert "kept\n" in run.text, str(run)
    lines = run.text.splitlines()
    (told,) = (number for number, line in enumerate(lines) if "ended: its container is" in line)
    assert lines[told + 1] == "fargate:   service-2-dying | dying 3"


def test_twelve_jobs_over_three_images_register_three_definitions(
    fargate: LocalFargate, store: Path
) -> None:
    known = len(fargate.calls("RegisterTaskDefinition"))
    operation = {"operation": "RegisterTaskDefinition", "status": 400, "times": 2}
    fargate.faults(
        {**operation, "error": "ThrottlingException", "message": "Rate exceeded"},
        {
            **operation,
            "error": "ClientException",
            "message": "Too many concurrent attempts to create a new revision of the specified"
            " family.",
        },
    )
    # Services of other names, so that no other test's definitions are found.
    services = [service("one-of-twelve")]
    kinds = ("alone", "odd", "busybox")

    async def all_at_once() -> list[Run]:
        jobs = [
            image_job(store, kinds[number % 3], [f"echo I am {number}"], services=services)
            for number in range(12)
        ]
        return await asyncio.gather(
            *(Run(fargate, job, scripts=only_the_script).go() for job in jobs)
        )

    runs = asyncio.run(all_at_once())
    for number, run in enumerate(runs):
        assert run.result.status == "success", str(run)
        assert f"I am {number}\n" in run.text
    calls = fargate.calls("RegisterTaskDefinition")[known:]
    assert [call["outcome"] for call in calls].count("ok") == 3
    assert len(calls) == 7
    definitions = {task["taskDefinitionArn"] for task in fargate.tasks()[-12:]}
    assert len(definitions) == 3
