"""One thing about AWS is wrong: the doctor names it, and nothing else."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from doctor.relay import Answer
from fargate_driver.doctor import access, aws, render
from fargate_driver.doctor.finding import Status, wrong
from fargate_driver.doctor.plan import Group, play
from front_calls import flags

if TYPE_CHECKING:
    from collections.abc import Callable

    from doctor.patient import Patient

_DEFAULT = ("ecs:RunTask", "ecs:DescribeTasks", "ecs:StopTask")


def _set(section: str, key: str, value: Any) -> Callable[[Patient], None]:
    def seed(patient: Patient) -> None:
        patient.settings[section][key] = value

    return seed


def _cluster(name: str, **request: Any) -> Callable[[Patient], None]:
    def seed(patient: Patient) -> None:
        patient.client().create_cluster(clusterName=name, **request)
        patient.settings["Fargate"]["Cluster"] = name

    return seed


def _unseen_wrong_cluster(patient: Patient) -> None:
    patient.settings["Fargate"]["Cluster"] = "nowhere"
    patient.deny("DescribeClusters")


def _deleted_cluster(patient: Patient) -> None:
    _cluster("gone")(patient)
    patient.client().delete_cluster(cluster="gone")


def _absent_provider(patient: Patient) -> None:
    _cluster("on-demand", capacityProviders=["FARGATE"])(patient)
    patient.more = '[[Capacity]]\nProvider = "FARGATE_SPOT"\n'


def _deregistered(patient: Patient) -> None:
    patient.define()
    name = patient.settings["Fargate"]["TaskDefinition"]
    patient.client().deregister_task_definition(taskDefinition=name)


def _no_base(patient: Patient) -> None:
    patient.image_mode()
    patient.settings["Images"]["BaseTaskDefinition"] = "base:7"


def _ecr_helper(patient: Patient) -> None:
    patient.image_mode()
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    patient.settings["Images"]["HelperImage"] = f"{registry}/helper:1"


def _define(**changes: Any) -> Callable[[Patient], None]:
    return lambda patient: patient.define(**changes)


def _deny(action: str) -> Callable[[Patient], None]:
    service, _, operation = action.partition(":")
    return lambda patient: patient.deny(operation, service=service)


def _deny_images(action: str) -> Callable[[Patient], None]:
    def seed(patient: Patient) -> None:
        patient.image_mode()
        _deny(action)(patient)

    return seed


def _deny_public(patient: Patient) -> None:
    patient.settings["Fargate"]["EnablePublicIP"] = True
    _deny("ec2:DescribeNetworkInterfaces")(patient)


def _beside(operation: str, action: str) -> Callable[[Patient], None]:
    """Have a call be refused over a right that it needs beside its own."""
    message = f"User: x is not authorized to perform: {action} on resource: arn:aws:iam::1:role/t"

    def seed(patient: Patient) -> None:
        if operation != "RunTask":
            patient.image_mode()
        patient.fault(operation, error="AccessDeniedException", message=message)

    return seed


def _no_assuming(patient: Patient) -> None:
    patient.settings["Fargate"]["AssumeRole"] = "arn:aws:iam::123456789012:role/ci"
    patient.setenv("AWS_ENDPOINT_URL_STS", patient.fargate.url)


def _answer(operation: str, change: Callable[[str], str]) -> Callable[[Patient], None]:
    """Have an answer of AWS's be another one."""

    def answer(called: str, found: Answer) -> Answer:
        if called != operation:
            return found
        text = change(found.text.decode())
        assert text != found.text.decode()
        return Answer(found.status, text.encode())

    return lambda patient: patient.relay(answer)


def _servers(found: str) -> str:
    return re.sub('"capacityProvider": ?"FARGATE"', '"capacityProvider": "servers"', found)


def _not_for_fargate(found: str) -> str:
    return re.sub('("compatibilities": ?)\\[[^]]*', r'\1["EC2"', found)


def _full(found: str) -> str:
    return re.sub("(?<=<availableIpAddressCount>)[0-9]+", "0", found)


def _two_vpcs(found: str) -> str:
    item = re.search("<item>.*</item>", found, re.DOTALL)
    assert item
    return found.replace(item[0], item[0] + re.sub("vpc-[0-9a-f]+", "vpc-0abc", item[0]))


def _absent_helper(patient: Patient) -> None:
    def change(called: str, answer: Answer) -> Answer:
        problem = {"__type": "ImageNotFoundException", "message": "no image with imageTag:'1'"}
        absent = Answer(400, json.dumps(problem).encode())
        return absent if called == "DescribeImages" else answer

    patient.relay(change)
    _ecr_helper(patient)
    patient.settings["Images"]["ExecutionRole"] = "arn:aws:iam::123456789012:role/execution"


def _other_architecture(patient: Patient) -> None:
    patient.define(runtimePlatform={"cpuArchitecture": "ARM64"})
    patient.image_mode()
    base = patient.settings["Fargate"]["TaskDefinition"]
    patient.settings["Images"] |= {"BaseTaskDefinition": base, "Architecture": "X86_64"}


def _closed_group(patient: Patient) -> None:
    group = patient.client("ec2").create_security_group(GroupName="closed", Description="closed")
    patient.settings["Fargate"]["SecurityGroup"] = group["GroupId"]


def _expired(*operations: str, code: str) -> Callable[[Patient], None]:
    return lambda patient: patient.fault(*operations, error=code, message="token is expired")


def _other_port(patient: Patient) -> None:
    patient.define(container={"portMappings": [{"containerPort": 22}]})
    patient.settings["SSH"]["Port"] = 2299


@pytest.mark.parametrize(
    ("seed", "check", "says"),
    [
        (_set("Fargate", "Cluster", "nowhere"), "cluster", "no cluster nowhere in us-east-1"),
        (_unseen_wrong_cluster, "cluster", "no cluster nowhere"),
        (_deleted_cluster, "cluster", "gone is INACTIVE"),
        (_cluster("bare"), "capacity", "bare has no default capacity provider strategy"),
        (_absent_provider, "capacity", "--capacity-providers FARGATE FARGATE_SPOT --default"),
        (_answer("DescribeClusters", _servers), "capacity", "is servers: not Fargate's"),
        (_answer("DescribeTaskDefinition", _not_for_fargate), "compatibility", "fit for EC2 only"),
        (_set("Fargate", "TaskDefinition", "job:9"), "task-definition", "no task definition job:9"),
        (_deregistered, "task-definition", "is INACTIVE"),
        (_set("Fargate", "ContainerName", "ci"), "container", 'ContainerName = "ci-coordinator"'),
        (
            _other_port,
            "ssh-port",
            "Port is 2299, and the container's port is 22 / set [SSH] Port = 22",
        ),
        (_set("Fargate", "WaitForHealthy", True), "health-check", "no healthCheck"),
        (_define(networkMode="bridge"), "network-mode", "bridge: Fargate needs awsvpc"),
        (_define(cpu=None, memory=None, container={"memory": 512}), "size", "is missing"),
        (_define(cpu="256", memory="8192"), "size", "cpu 256 with memory 8192"),
        (
            _define(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
            "platform",
            "jobs need Linux",
        ),
        (
            _define(container={"image": "1.dkr.ecr.us-east-1.amazonaws.com/job:1"}),
            "roles",
            "no execution role, which the image",
        ),
        (_no_base, "base-task-definition", "no task definition base:7"),
        (_other_architecture, "architecture", 'set [Images] Architecture = "ARM64"'),
        (_ecr_helper, "execution-role", "no execution role, which HelperImage"),
        (_absent_helper, "helper-image", "no image with imageTag:'1'"),
        *((_deny(action), action, f"allow {action} to role manager") for action in _DEFAULT),
        (_deny_public, "ec2:DescribeNetworkInterfaces", "not allowed"),
        *(
            (_deny_images(action), action, "not allowed")
            for action in ("ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition")
        ),
        (_beside("RunTask", "iam:PassRole"), "iam:PassRole", "arn:aws:iam::1:role/t"),
        (
            _beside("RegisterTaskDefinition", "iam:PassRole"),
            "iam:PassRole",
            "allow iam:PassRole on arn",
        ),
        (_beside("RunTask", "ecs:TagResource"), "ecs:TagResource", "allow ecs:TagResource"),
        (_no_assuming, "credentials", "the trust policy of arn:aws:iam::123456789012:role/ci"),
        (_expired("GetCallerIdentity", code="ExpiredToken"), "credentials", "token is expired"),
        (_expired("DescribeTasks", code="ExpiredTokenException"), "credentials", "renew them"),
        (
            _set("Fargate", "Region", "us-east-11"),
            "region",
            'did you mean [Fargate] Region = "us-east-1"?',
        ),
        (
            _set("Fargate", "Cluster", "arn:aws:ecs:eu-west-1:123456789012:cluster/default"),
            "region",
            'set [Fargate] Region = "eu-west-1"',
        ),
        (_set("Fargate", "EndpointURL", "http://127.0.0.1:9"), "region", "`fargate local up`"),
        (_set("Fargate", "Subnet", "subnet-0abc"), "subnets", "'subnet-0abc' does not exist"),
        (_set("Fargate", "SecurityGroup", "sg-0abc"), "security-groups", "does not exist"),
        (_answer("DescribeSubnets", _full), "subnets", "no free address is left in subnet-"),
        (
            _answer("DescribeSubnets", _two_vpcs),
            "subnets",
            "in several VPCs: vpc-0abc, vpc-0fa46a7e10ca1f0a0",
        ),
        (lambda patient: patient.relay(later=3600), "clock", "s behind AWS's"),
        (_closed_group, "security-groups", "let nobody reach port"),
    ],
)
def test_one_mistake_is_named_and_nothing_else(
    patient: Patient, seed: Callable[[Patient], None], check: str, says: str
) -> None:
    seed(patient)
    wrong = patient.wrong()
    assert list(wrong) == [check], wrong
    assert says in wrong[check]
    assert not patient.fargate.alive()


def test_a_right_set_up_has_nothing_wrong(patient: Patient) -> None:
    found = {one.check: one for one in patient.findings()}
    assert found.pop("runner-config").status is not Status.WRONG
    assert {check: one.status for check, one in found.items() if one.status != Status.OK} == {}
    assert found.keys() >= {"configuration", "clock", "capacity", "leftovers", *_DEFAULT}
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    assert [check for check in found if f"`{check}`" not in page] == []


def test_image_mode_that_is_right(patient: Patient) -> None:
    patient.define()
    patient.image_mode()
    patient.settings["Images"]["BaseTaskDefinition"] = patient.settings["Fargate"]["TaskDefinition"]
    found = {one.check: one.status for one in patient.findings()}
    assert Status.WRONG not in found.values()
    assert found["base-task-definition"] is found["ecs:RegisterTaskDefinition"] is Status.OK


def test_rights_that_jobs_do_without_are_never_missed(patient: Patient) -> None:
    calls = ("DescribeClusters", "DescribeTaskDefinition", "GetCallerIdentity")
    network = ("DescribeSubnets", "DescribeSecurityGroups")
    patient.fault(*calls, *network, error="AccessDeniedException")
    found = {one.check: one for one in patient.findings()}
    assert not [one for one in found.values() if one.status is Status.WRONG]
    for check in ("capacity", "task-definition", "subnets", "security-groups"):
        assert found[check].status is Status.UNCHECKED
        assert "is not allowed, and jobs don't need it" in found[check].found
    assert found["cluster"].status is Status.OK


def test_a_policy_for_the_one_revision_is_no_mistake(patient: Patient) -> None:
    patient.fargate.faults(
        {"operation": "RunTask", "error": "AccessDeniedException", "message": "one revision only"},
        {"operation": "RunTask", "error": "InvalidParameterException", "message": "no such subnet"},
    )
    assert patient.wrong() == {}


def test_a_task_that_is_started_all_the_same_is_stopped(patient: Patient) -> None:
    # The local Fargate doesn't know subnets; AWS does.
    patient.fargate.faults({"operation": "RunTask", "error": "AccessDeniedException"})
    assert patient.wrong() == {}
    patient.fargate.assert_nothing_left()


def test_rights_of_operators_are_never_missed(patient: Patient) -> None:
    options = {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    log = {"logDriver": "awslogs", "options": options}
    role = "arn:aws:iam::123456789012:role/execution"
    patient.define(container={"logConfiguration": log}, executionRoleArn=role)
    assert {one.check: one.status for one in patient.findings()}["logs:GetLogEvents"] is Status.OK
    patient.deny("ListTasks", "GetLogEvents")
    patient.settings["Fargate"]["Tags"] = {"team": "a"}
    found = {one.check: one for one in patient.findings()}
    assert not [one for one in found.values() if one.status is Status.WRONG]
    assert "fargate reap" in found["ecs:ListTasks"].found
    assert "fargate logs" in found["logs:GetLogEvents"].found
    for action in ("ecs:ListTasks", "ecs:TagResource", "iam:PassRole", "logs:GetLogEvents"):
        assert found[action].status is Status.UNCHECKED


def test_a_signature_that_is_refused_over_the_clock_is_the_clocks_fault(patient: Patient) -> None:
    patient.relay(later=3600)
    calls = ("DescribeTasks", "GetCallerIdentity")
    patient.fault(*calls, error="InvalidSignatureException", message="Signature not yet current")
    wrong = patient.wrong()
    assert list(wrong) == ["clock"], wrong


def test_credentials_are_never_shown(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY", "FwoGZXIvYXdzEXAMPLE")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, secret in zip(names, secrets, strict=True):
        monkeypatch.setenv(name, secret)
    message = f"id {secrets[0]}, token {secrets[2]}, key {secrets[1]}. The Canonical String: %2B"
    patient.fault("DescribeTasks", "StopTask", error="ServerException", message=message)
    patient.fault("RunTask", error="AccessDeniedException", message=message)
    patient.write()
    groups = list(play(flags(config=str(patient.config)), None, run=False))
    for group in groups:
        render.show(group, Console(width=200))
    shown = render.as_json(groups) + capsys.readouterr().out
    assert f"id {secrets[0]}, token [MASKED], key [MASKED]. …" in shown
    assert not [secret for secret in (*secrets[1:], "%2B") if secret in shown]


@pytest.mark.parametrize(
    ("status", "text"), [(200, b"<html>"), (200, b"[]"), (200, b"{}"), (403, b"<html>")]
)
def test_answers_that_are_none_of_awss_are_told_as_such(
    patient: Patient, status: int, text: bytes
) -> None:
    patient.relay(lambda _operation, _answer: Answer(status, text))
    findings = patient.findings()
    told = " ".join(one.found for one in findings)
    assert "answer is none of AWS's" in told
    assert "internal error" not in told
    assert "html" not in told
    assert [one for one in findings if one.status is not Status.OK and one.check == "region"]


def test_nobody_waits_long_for_an_endpoint_that_says_nothing(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patient.settings["Fargate"]["EndpointURL"] = url
        wrong = patient.wrong()
    assert list(wrong) == ["region"]
    assert f"no answer from {url} within 0.5 s" in wrong["region"]


def test_nobody_waits_long_for_credentials(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "PATIENCE", 0.5)
    waiting, profile = patient.directory / "waiting", patient.directory / "profile"
    os.mkfifo(waiting)
    profile.write_text(f"[default]\ncredential_process = sh -c 'read line < {waiting}'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    wrong = patient.wrong()
    with waiting.open("w"):  # the program goes on
        pass
    assert list(wrong) == ["credentials"], wrong
    assert "their source gives none within 0.5 s" in wrong["credentials"]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "no credentials found / give the manager a role"),
        ({"AWS_PROFILE": "ci"}, "The config profile (ci) could not be found"),
    ],
)
def test_credentials_that_are_not_there(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    nowhere = str(patient.directory / "nowhere")
    places = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere}
    for name, value in (places | {"AWS_EC2_METADATA_DISABLED": "true"} | variables).items():
        monkeypatch.setenv(name, value)
    # Nothing is sent there.
    patient.settings["Fargate"]["EndpointURL"] = "https://ecs.example.com"
    wrong = patient.wrong()
    assert list(wrong) == ["credentials"], wrong
    assert says in wrong["credentials"]
    groups = [one.title for one in play(flags(config=str(patient.config)), None, run=False)]
    assert "Cluster" in groups
    assert "Image mode" not in groups  # it is off


@pytest.mark.parametrize("width", [40, 63, 64])
def test_findings_on_terminals_of_any_width(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = wrong("ecs:RegisterTaskDefinition", "not allowed to role manager", "allow it")
    render.show(Group("Rights", [found]), Console(width=width, highlight=False))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= width
    assert [line.strip() for line in lines if "not allowed" in line] == (
        ["not allowed to role manager"]
        if width < 64
        else ["✗ ecs:RegisterTaskDefinition    not allowed to role manager"]
    )
