"""One thing about AWS is wrong: the doctor names it, and nothing else."""

from __future__ import annotations

import http.server
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.doctor.finding import Status
from fargate_driver.doctor.network import subnets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def _deny_pass_role(patient: Patient) -> None:
    message = (
        "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/t"
    )
    patient.fault("RunTask", error="AccessDeniedException", message=message)


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
        (_absent_provider, "capacity", "names FARGATE_SPOT, which on-demand doesn't have"),
        (_set("Fargate", "TaskDefinition", "job:9"), "task-definition", "no task definition job:9"),
        (_deregistered, "task-definition", "is INACTIVE"),
        (_set("Fargate", "ContainerName", "ci"), "container", 'ContainerName = "ci-coordinator"'),
        (_other_port, "ssh-port", "Port is 2299, and the container's port is 22 / set Port = 22"),
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
        (_ecr_helper, "execution-role", "HelperImage in ECR"),
        *((_deny(action), action, f"allow {action} to role manager") for action in _DEFAULT),
        (_deny_public, "ec2:DescribeNetworkInterfaces", "not allowed"),
        *(
            (_deny_images(action), action, "not allowed")
            for action in ("ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition")
        ),
        (_deny_pass_role, "iam:PassRole", "arn:aws:iam::1:role/t"),
        (_expired("GetCallerIdentity", code="ExpiredToken"), "credentials", "token is expired"),
        (_expired("DescribeTasks", code="ExpiredTokenException"), "credentials", "renew them"),
        (_set("Fargate", "Region", "us-east-11"), "region", "did you mean us-east-1?"),
        (
            _set("Fargate", "Cluster", "arn:aws:ecs:eu-west-1:123456789012:cluster/default"),
            "region",
            "set Region to eu-west-1",
        ),
        (_set("Fargate", "EndpointURL", "http://127.0.0.1:9"), "region", "Could not connect"),
        (_set("Fargate", "Subnet", "subnet-0abc"), "subnets", "'subnet-0abc' does not exist"),
        (_set("Fargate", "SecurityGroup", "sg-0abc"), "security-groups", "does not exist"),
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


def test_a_clock_that_is_off(patient: Patient) -> None:
    with _later(patient.fargate.url, 3600) as url:
        patient.settings["Fargate"]["EndpointURL"] = url
        wrong = patient.wrong()
    assert list(wrong) == ["clock"], wrong
    assert "behind AWS's" in wrong["clock"]


def test_subnets_that_are_full_or_strangers() -> None:
    def subnet(name: str, vpc: str, free: int) -> dict[str, Any]:
        return {
            "SubnetId": name,
            "VpcId": vpc,
            "AvailableIpAddressCount": free,
            "AvailabilityZone": "us-east-1a",
        }

    full = subnets([subnet("subnet-1", "vpc-1", 0), subnet("subnet-2", "vpc-1", 9)])
    assert full.status is Status.WRONG
    assert "no free address in subnet-1 (" in full.found
    apart = subnets([subnet("subnet-1", "vpc-1", 5), subnet("subnet-2", "vpc-2", 9)])
    assert apart.status is Status.WRONG
    assert "vpc-1, vpc-2" in apart.found


@contextmanager
def _later(url: str, seconds: float) -> Iterator[str]:
    """The same endpoint at a later time of day."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = urllib.request.Request(f"{url}/", body, dict(self.headers))
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    status, text = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, text = error.code, error.read()
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + seconds, usegmt=True))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
