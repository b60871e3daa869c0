"""What init writes, as it is, on the embedded Fargate: jobs run, the policy allows what they do.

Each case plays what its features are for and compares the calls with the policy's actions.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

import image_kinds
import recorded_calls
from init_calls import init
from local_fargate import FARGATE, LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared_fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        # Where the user's images are.
        patch.setenv("XDG_DATA_HOME", str(data))
        image_kinds.add(data / "fargate" / "images", "busybox")
        with local_fargate(tmp_path_factory.mktemp("f") / "l", runtime="user") as running:
            yield running


@pytest.fixture
def fargate(shared_fargate: LocalFargate) -> Iterator[LocalFargate]:
    yield shared_fargate
    shared_fargate.assert_nothing_left()


def answers(fargate: LocalFargate, **more: str) -> dict[str, str]:
    """For what `fargate local up` has, and no more than the driver of old was allowed."""
    settings = fargate.settings
    return {
        "infrastructure": "none",
        "region": settings["Fargate"]["Region"],
        "account": "123456789012",
        "cluster": settings["Fargate"]["Cluster"],
        "subnets": settings["Fargate"]["Subnet"],
        "security-groups": settings["Fargate"]["SecurityGroup"],
        "task-definition": "ci-coordinator",
        "execution-role": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "images": "no",
        "wide-reap": "no",
        "logs": "no",
        "endpoint-url": fargate.url,
        "records": settings["TaskMetadata"]["Directory"],
        "ssh-user": settings["SSH"]["Username"],
        "ssh-port": str(settings["SSH"]["Port"]),
        "builds-dir": settings["Fargate"]["BuildsDir"],
        "cache-dir": settings["Fargate"]["CacheDir"],
        **more,
    }


def image_mode(fargate: LocalFargate) -> dict[str, str]:
    """Answers for jobs in images of the embedded Fargate's own."""
    given = answers(
        fargate,
        images="yes",
        **{"helper-image": "fargate-helper", "job-image": image_kinds.NAMES["busybox"]},
    )
    del given["task-definition"]
    return given


def play(fargate: LocalFargate, directory: Path, given: dict[str, str], *then: str) -> None:
    """Run init, a job, and a command; compare the calls with the policy."""
    done = init(directory, **given)
    assert done.returncode == 0, done.stderr
    before = len(fargate.calls())
    config = directory / "fargate.toml"
    commands = [["try", "--config", str(config), "--", "echo", "ran here"]]
    if then:
        commands.append(["--config", str(config), *then])
    for command in commands:
        mark = recorded_calls.mark(config, "custom" if command is commands[0] else then[0])
        done = subprocess.run(
            [*FARGATE, *command],
            env=fargate.environment | mark,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "not allowed" not in done.stdout
        # What was found within StartTimeout is not pruned.
        text = (directory / "fargate.toml").read_text()
        text = text.replace("[Fargate]\n", "[Fargate]\nStartTimeout = 1\n")
        (directory / "fargate.toml").write_text(text)
    called = {call["operation"] for call in fargate.calls()[before:]}
    document = json.loads((directory / "policy.json").read_text())
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    assert {action.partition(":")[2] for action in actions - recorded_calls.NOT_RECORDED} == called
    assert "iam:PassRole" in actions
    assert ("ecs:TagResource" in actions) == ("tags" in given)


@pytest.mark.parametrize(
    ("more", "then"),
    [
        ({}, ()),
        ({"public-ip": "ssh"}, ()),
        ({"public-ip": "outbound", "spot": "yes", "tags": "team=a b:c/d+e-f@g"}, ()),
        ({"wide-reap": "yes"}, ("reap",)),
    ],
    ids=["base", "public", "tags", "reap"],
)
def test_jobs_of_a_task_definition(
    fargate: LocalFargate, tmp_path: Path, more: dict[str, str], then: tuple[str, ...]
) -> None:
    play(fargate, tmp_path / "out", answers(fargate, **more), *then)


def test_jobs_in_images(fargate: LocalFargate, tmp_path: Path) -> None:
    given = image_mode(fargate)
    play(fargate, tmp_path / "out", given)
    # Another role makes another task definition.
    more = {"prune": "yes", "task-role": "arn:aws:iam::123456789012:role/ci"}
    play(fargate, tmp_path / "pruning", {**given, **more}, "images", "--prune", "0")
