"""Task definitions are registered once, by whichever of a host's processes comes first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from click.testing import CliRunner

import definitions_users
from fargate_driver import jobs, moment, records
from fargate_driver.commands import images as images_command
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.definitions import Definitions, is_gone
from fargate_driver.ecs.derive import derive
from fargate_driver.ecs.errors import EcsError, StartTimeoutError
from fargate_driver.ecs.target import Target
from fargate_driver.gitlab.images import Image, JobImages
from fargate_driver.gitlab.services import Service
from fargate_driver.owner import owner_of_this_call
from front_calls import fargate as call
from front_calls import flags
from job_response import IMAGES, settings
from local_fargate import LocalFargate, local_fargate, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONCURRENT = "Too many concurrent attempts to create a new revision of the specified family."
WRAPPED = "Error retrieving something: Rate exceeded (ErrorCode: Throttling)"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    folder = tmp_path_factory.mktemp("fargate")
    with local_fargate(folder, options=("--limits", "aws")) as running:
        yield running


@pytest.fixture
def fargate(shared: LocalFargate) -> LocalFargate:
    shared.faults()
    return shared


def definitions(
    fargate: LocalFargate, records: Path, patience: float = 30, region: str = "us-east-1"
) -> Definitions:
    deadline = time.monotonic() + patience
    return Definitions(Ecs(Target(region, "ci", fargate.url), deadline=deadline), records, deadline)


def client(fargate: LocalFargate, region: str = "us-east-1") -> Any:
    return botocore.session.Session().create_client(
        "ecs",
        region_name=region,
        endpoint_url=fargate.url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def request(folder: Path, image: str) -> dict[str, Any]:
    return derive(settings(folder), JobImages(Image(image), (), None, ()), None, None)


def made(fargate: LocalFargate, operation: str, since: int) -> list[str]:
    return [call["outcome"] for call in fargate.calls(operation)[since:]]


def test_fifty_at_once_over_three_images_register_three(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    operation = "RegisterTaskDefinition"
    before = len(fargate.calls(operation))
    fargate.faults(
        {"operation": operation, "error": "ThrottlingException", "message": "Rate exceeded"},
        {"operation": operation, "error": "ClientException", "message": CONCURRENT, "times": 2},
        {"operation": operation, "error": "InvalidParameterException", "message": WRAPPED},
        {"operation": "DescribeTaskDefinition", "error": "ThrottlingException", "times": 2},
    )
    text = (
        f'[Fargate]\nCluster = "ci"\nRegion = "us-east-1"\nSubnet = "subnet-0abc"\n'
        f'SecurityGroup = "sg-0abc"\nEndpointURL = "{fargate.url}"\n[SSH]\nUsername = "root"\n'
        f'[TaskMetadata]\nDirectory = "{tmp_path}/records"\n{IMAGES}Family = "fifty"\n'
    )
    config = tmp_path / "fargate.toml"
    config.write_text(text)
    images = [f"registry.example.com/image:{number % 3}" for number in range(50)]
    done = subprocess.run(
        [sys.executable, definitions_users.__file__, str(config), *images],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.split()
    assert (len(found), len(set(found))) == (50, 3)
    outcomes = made(fargate, operation, before)
    assert outcomes.count("ok") == 3
    assert len(outcomes) == 7
    families = client(fargate).list_task_definition_families(familyPrefix="fifty-")["families"]
    assert len(families) == 3


def test_what_is_known_needs_no_call(fargate: LocalFargate, tmp_path: Path) -> None:
    records, wanted = tmp_path / "records", request(tmp_path, "known:1")
    found = definitions(fargate, records).find(wanted)
    before = len(fargate.calls())
    assert definitions(fargate, records).find(wanted) == found
    assert len(fargate.calls()) == before
    # Another host, or one that lost its files, finds what is registered.
    registered = len(fargate.calls("RegisterTaskDefinition"))
    assert definitions(fargate, tmp_path / "elsewhere").find(wanted) == found
    assert len(fargate.calls("RegisterTaskDefinition")) == registered


def test_one_that_was_deregistered_is_registered_again(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    here, wanted = definitions(fargate, tmp_path / "records"), request(tmp_path, "gone:1")
    first = here.find(wanted)
    ecs = client(fargate)
    ecs.deregister_task_definition(taskDefinition=first)
    vpc = {"awsvpcConfiguration": {"subnets": ["subnet-0abc"], "securityGroups": ["sg-0abc"]}}
    driver = Ecs(Target("us-east-1", "default", fargate.url), deadline=time.monotonic() + 5)
    with pytest.raises(EcsError) as caught:
        driver.run_task({"taskDefinition": first, "networkConfiguration": vpc})
    assert is_gone(caught.value)
    here.forget(first)
    second = here.find(wanted)
    assert second == first.replace(":1", ":2")
    here.forget(first)  # by another process that was told so later
    assert here.uses()[0].family == wanted["family"]


def test_a_lost_answer_costs_a_revision_at_most(fargate: LocalFargate, tmp_path: Path) -> None:
    fargate.faults({"operation": "RegisterTaskDefinition", "lose_answer": True})
    wanted = request(tmp_path, "lost:1")
    assert definitions(fargate, tmp_path / "records").find(wanted) == f"{wanted['family']}:2"


def test_damaged_files_are_worth_a_question(fargate: LocalFargate, tmp_path: Path) -> None:
    records, wanted = tmp_path / "records", request(tmp_path, "damaged:1")
    found = definitions(fargate, records).find(wanted)
    (file,) = (tmp_path / "records-definitions").iterdir()
    old = tmp_path / "records-definitions" / "old"
    old.touch()
    os.utime(old, (0, 0))
    definitions(fargate, records).find(request(tmp_path, "newer:1"))
    assert not old.exists()
    for text in ("", "\0", "other-family:1", f"{found}\nmore", "x" * 100_000):
        file.write_text(text)
        assert definitions(fargate, records).find(wanted) == found
        assert file.read_text() == found


def test_without_a_place_for_files_each_asks_for_itself(
    fargate: LocalFargate, tmp_path: Path
) -> None:
    wanted = request(tmp_path, "nowhere:1")
    (tmp_path / "records-definitions").write_text("in the way")
    here = definitions(fargate, tmp_path / "records")
    assert here.find(wanted) == here.find(wanted)
    here.forget(f"{wanted['family']}:1")
    assert here.uses() == []


@pytest.mark.root
def test_files_of_someone_else_are_not_believed(fargate: LocalFargate, tmp_path: Path) -> None:
    here, wanted = definitions(fargate, tmp_path / "records"), request(tmp_path, "theirs:1")
    found = here.find(wanted)
    directory = tmp_path / "records-definitions"
    (file,) = directory.iterdir()
    file.write_text(f"{wanted['family']}:999")
    os.chown(file, 65534, 65534)
    assert here.uses() == []
    assert here.find(wanted) == found
    os.chown(directory, 65534, 65534)
    file.unlink()
    assert here.find(wanted) == found
    assert list(directory.iterdir()) == []


def test_who_waits_too_long_is_told(fargate: LocalFargate, tmp_path: Path) -> None:
    wanted = request(tmp_path, "held:1")
    fargate.faults({"operation": "RegisterTaskDefinition", "hang": 3})
    slow = threading.Thread(target=definitions(fargate, tmp_path / "records").find, args=[wanted])
    slow.start()
    try:
        while not list((tmp_path / "records-definitions").glob("*")):
            time.sleep(0.01)
        with pytest.raises(StartTimeoutError, match="another process of this host holds"):
            definitions(fargate, tmp_path / "records", patience=0.2).find(wanted)
    finally:
        slow.join()


def test_a_refusal_is_told(fargate: LocalFargate, tmp_path: Path) -> None:
    denied = (
        "User: arn:aws:sts::123456789012:assumed-role/manager/i-0 is not authorized to perform:"
        " ecs:RegisterTaskDefinition on resource: *"
    )
    fargate.faults(
        {
            "operation": "RegisterTaskDefinition",
            "error": "AccessDeniedException",
            "message": denied,
        }
    )
    with pytest.raises(EcsError) as caught:
        definitions(fargate, tmp_path / "records").find(request(tmp_path, "denied:1"))
    assert "ecs:RegisterTaskDefinition" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_base_is_looked_at_once(fargate: LocalFargate, tmp_path: Path) -> None:
    records = tmp_path / "records"
    before = len(fargate.calls("DescribeTaskDefinition"))
    bases = [definitions(fargate, records).base("ci-coordinator", tags=False) for _ in range(3)]
    assert len(fargate.calls("DescribeTaskDefinition")) == before + 1
    assert bases[0] == bases[1] == bases[2]
    assert bases[0].arn.endswith("task-definition/ci-coordinator:1")
    assert bases[0].content["containerDefinitions"]
    # The latest revision is looked for again after a while; a revision never changes.
    fixed = [definitions(fargate, records).base("ci-coordinator:1", tags=True) for _ in range(2)]
    assert fixed[0] == fixed[1]
    for file in (tmp_path / "records-definitions").iterdir():
        os.utime(file, (0, 0))
    before = len(fargate.calls("DescribeTaskDefinition"))
    definitions(fargate, records).base("ci-coordinator:1", tags=True)
    assert len(fargate.calls("DescribeTaskDefinition")) == before
    definitions(fargate, records).base("ci-coordinator", tags=False)
    assert len(fargate.calls("DescribeTaskDefinition")) == before + 1
    postgres = Service("postgres:17", ("postgres", "db"), "service-1-db", command=("postgres",))
    images = JobImages(Image("python:3.13", "1000"), (postgres,), None, ())
    derived = derive(settings(tmp_path), images, "ARM64", bases[0])
    assert definitions(fargate, records).find(derived) == f"{derived['family']}:1"
    with pytest.raises(EcsError, match="Unable to describe task definition"):
        definitions(fargate, records).base("no-such", tags=False)


def test_the_command_lists_and_prunes(fargate: LocalFargate, tmp_path: Path) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text(
        f'[Fargate]\nCluster = "default"\nRegion = "eu-west-1"\nSubnet = "subnet-0abc"\n'
        f'SecurityGroup = "sg-0abc"\nEndpointURL = "{fargate.url}"\n[SSH]\nUsername = "root"\n'
        f'[TaskMetadata]\nDirectory = "{tmp_path}/records"\n{IMAGES}'
    )
    here = definitions(fargate, tmp_path / "records", region="eu-west-1")
    old, new = (request(tmp_path, image) for image in ("old:1", "new:1"))
    names = [here.find(wanted) for wanted in (old, new)]
    elsewhere = definitions(fargate, tmp_path / "elsewhere", region="eu-west-1")
    names.append(elsewhere.find(request(tmp_path, "elsewhere:1")))
    # What is somebody else's, by a name that begins the same, is neither listed nor pruned.
    prefix = old["family"].rpartition("-")[0]
    for name in (f"{prefix}-base", f"{prefix}-{'0' * 20}"):
        foreign = old | {"family": name}
        foreign["containerDefinitions"] = old["containerDefinitions"][1:2]
        foreign["containerDefinitions"][0] |= {"dependsOn": []}
        here._ecs.register_task_definition(foreign)

    def run(*words: str) -> list[str]:
        done = call("--config", str(config), "images", *words, cwd=tmp_path)
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout.splitlines()

    lines = {line.split()[0]: line for line in run()}
    assert lines.keys() == set(names)
    assert lines[names[0]].endswith("UTC  old:1")
    assert "not used on this host" in lines[names[2]]
    assert run("--prune", "1") == []
    # What was found a moment ago may be about to run.
    assert run("--prune", "0") == []
    text = config.read_text().replace("[Fargate]", "[Fargate]\nStartTimeout = 1")
    config.write_text(text)
    until(lambda: len(run("--prune", "0", "--dry-run")) == 3)
    would = run("--prune", "0", "--dry-run")
    assert [line.startswith("would have deregistered ") for line in would] == [True] * 3
    # One has a task, another one a job of this host that is about to start one.
    ecs = client(fargate, "eu-west-1")
    vpc = {"awsvpcConfiguration": {"subnets": ["subnet-0abc"]}}
    fargate.faults({"task": {"never_starts": True}})
    (task,) = ecs.run_task(taskDefinition=names[2], networkConfiguration=vpc)["tasks"]
    job = tmp_path / "records" / f"17-{'0' * 20}"
    jobs.create(str(job))
    target = Target("eu-west-1", "default", fargate.url)
    record = records.JobRecord(str(job), "job 17", target, owner_of_this_call("", 60))
    record.launches = [records.Launch({"taskDefinition": names[1]}, moment.now())]
    record.save()
    pruned = {name: line for line in run("--prune", "0") for name in names if name in line}
    assert pruned.keys() == {names[0], names[2]}
    assert pruned[names[0]].startswith("deregistered ")
    assert pruned[names[2]].startswith("kept, since tasks of it run: ")
    ecs.stop_task(task=task["taskArn"])
    assert {use.family for use in here.uses()} == {new["family"]}
    assert here.find(old) == names[0].replace(":1", ":2")


def test_each_family_has_its_own_time(
    fargate: LocalFargate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of them take longer than a throttled call may."""
    deadlines = []

    class Watched(Ecs):
        def describe_task_definition(self, name: str, *, tags: bool = False) -> Any:
            deadlines.append(self.deadline)
            return super().describe_task_definition(name, tags=tags)

    here = definitions(fargate, tmp_path / "records", region="eu-north-1")
    for image in ("one:1", "two:1"):
        here.find(request(tmp_path, image))
    path = tmp_path / "settings.toml"
    text = path.read_text().replace('"us-east-1"', f'"eu-north-1"\nEndpointURL = "{fargate.url}"')
    path.write_text(text)
    monkeypatch.setattr(images_command, "Ecs", Watched)
    done = CliRunner().invoke(images_command.images, obj=flags(config=str(path)))
    assert len(done.stdout.splitlines()) == 2, done.output
    assert deadlines[0] < deadlines[1]


def test_a_dry_run_of_nothing_is_refused(tmp_path: Path) -> None:
    done = call("images", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("fargate: --dry-run says what --prune DAYS would do: give that as well")


def test_the_command_says_what_it_may_not(fargate: LocalFargate, tmp_path: Path) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text(
        f'[Fargate]\nCluster = "ci"\nRegion = "eu-west-1"\nSubnet = "subnet-0abc"\n'
        f'SecurityGroup = "sg-0abc"\nEndpointURL = "{fargate.url}"\n[SSH]\nUsername = "root"\n'
        f'[TaskMetadata]\nDirectory = "{tmp_path}/records"\n{IMAGES}'
    )
    fargate.faults(
        {
            "operation": "ListTaskDefinitionFamilies",
            "error": "AccessDeniedException",
            "message": "User: arn:aws:iam::123456789012:user/x is not authorized to perform:"
            " ecs:ListTaskDefinitionFamilies",
        }
    )
    done = call("--config", str(config), "images", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "ecs:ListTaskDefinitionFamilies" in line
