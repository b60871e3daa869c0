from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.limits import AWS_RATES, Limits
from fargate_driver.local.sizes import check_size, cpu_units, memory_mib
from local_api.fargate_under_test import NETWORK, Fargate, fargate

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ci-coordinator"
IMAGE = "fargate-local/host:latest"
SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/ecs/aws4_request, Signature=0"


def fails(code: str, says: str, call: Any, **request: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response: dict[str, Any] = caught.value.response
    assert response["Error"]["Code"] == code, response
    assert says in response["Error"]["Message"], response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return response


def raw(here: Fargate, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Send what botocore would refuse to send."""
    headers = {
        "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": SIGNED,
    }
    status, text = here.request("/", body, headers)
    answer: dict[str, Any] = json.loads(text)
    return status, answer


def definition(here: Fargate, family: str, **changes: Any) -> dict[str, Any]:
    request = {
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": NAME, "image": IMAGE}],
    } | changes
    wanted = {name: value for name, value in request.items() if value is not None}
    answer: dict[str, Any] = here.client().register_task_definition(**wanted)
    return answer


# Clusters


def test_clusters(here: Fargate) -> None:
    ecs = here.client()
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    made = ecs.create_cluster(
        clusterName="jobs",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy,
        tags=[{"key": "team", "value": "ci"}],
    )["cluster"]
    assert made["clusterArn"] == "arn:aws:ecs:eu-west-1:123456789012:cluster/jobs"
    assert made["status"] == "ACTIVE"
    assert ecs.create_cluster(clusterName="jobs")["cluster"]["capacityProviders"]
    assert made["clusterArn"] in ecs.list_clusters()["clusterArns"]
    task = here.run(cluster="jobs")
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    shown = ecs.describe_clusters(clusters=["jobs", "no"], include=["TAGS"])
    assert shown["clusters"][0]["tags"] == [{"key": "team", "value": "ci"}]
    assert (
        shown["clusters"][0]["pendingTasksCount"] + shown["clusters"][0]["runningTasksCount"] == 1
    )
    assert shown["failures"] == [{"arn": "no", "reason": "MISSING"}]
    fails("ClusterContainsTasksException", "active", ecs.delete_cluster, cluster="jobs")
    assert here.client().describe_tasks(tasks=[task["taskArn"]])["failures"]  # of cluster default
    changed = ecs.put_cluster_capacity_providers(
        cluster="jobs", capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    assert changed["cluster"]["defaultCapacityProviderStrategy"] == []
    no_instances = "No Container Instances were found in your cluster."
    fails("InvalidParameterException", no_instances, here.run, cluster=made["clusterArn"])
    here.run(cluster="jobs", launchType="FARGATE")


def test_a_deleted_cluster(here: Fargate) -> None:
    ecs = here.client()
    ecs.create_cluster(clusterName="short-lived")
    assert ecs.delete_cluster(cluster="short-lived")["cluster"]["status"] == "INACTIVE"
    fails("ClientException", "inactive", here.run, cluster="short-lived")
    assert ecs.create_cluster(clusterName="short-lived")["cluster"]["status"] == "ACTIVE"


def test_wrong_clusters(here: Fargate) -> None:
    ecs = here.client()
    for call in (here.run, ecs.list_tasks):
        fails("ClusterNotFoundException", "Cluster not found.", call, cluster="no")
    invalid = "InvalidParameterException"
    fails(invalid, "name", ecs.create_cluster, clusterName="a b")
    fails(invalid, "does not exist", ecs.create_cluster, clusterName="x", capacityProviders=["EC"])


@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("ap-southeast-2", "aws")],
)
def test_every_region_is_furnished(here: Fargate, region: str, partition: str) -> None:
    ecs = here.client(region=region)
    (task,) = ecs.run_task(taskDefinition=NAME, networkConfiguration=NETWORK)["tasks"]
    prefix = f"arn:{partition}:ecs:{region}:123456789012:"
    assert task["taskArn"].startswith(f"{prefix}task/default/")
    assert task["taskDefinitionArn"] == f"{prefix}task-definition/{NAME}:1"
    assert task["availabilityZone"] == f"{region}a"
    assert here.client().describe_tasks(tasks=[task["taskArn"]])["failures"]
    ecs.stop_task(task=task["taskArn"])


# Task definitions


def test_task_definitions(here: Fargate) -> None:
    ecs = here.client()
    tags = [{"key": "a", "value": "b"}]
    first = definition(here, "tool", cpu="1 vCPU", memory="2 GB", tags=tags)
    assert first["tags"] == [{"key": "a", "value": "b"}]
    shown = first["taskDefinition"]
    assert (shown["cpu"], shown["memory"]) == ("1024", "2048")
    assert shown["taskDefinitionArn"].endswith(":task-definition/tool:1")
    assert shown["compatibilities"] == ["EC2", "FARGATE"]
    assert shown["containerDefinitions"][0]["essential"] is True
    assert definition(here, "tool")["taskDefinition"]["revision"] == 2
    arns = ecs.list_task_definitions(familyPrefix="tool")["taskDefinitionArns"]
    assert [arn.rpartition("/")[2] for arn in arns] == ["tool:1", "tool:2"]
    page = ecs.list_task_definitions(familyPrefix="tool", maxResults=1, sort="DESC")
    assert page["taskDefinitionArns"] == [arns[1]]
    page = ecs.list_task_definitions(
        familyPrefix="tool", maxResults=1, sort="DESC", nextToken=page["nextToken"]
    )
    assert page["taskDefinitionArns"] == [arns[0]]
    assert "nextToken" not in page
    for name, revision in {"tool": 2, "tool:1": 1, arns[0]: 1}.items():
        found = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
        assert found["taskDefinition"]["revision"] == revision
    gone = ecs.deregister_task_definition(taskDefinition="tool:2")["taskDefinition"]
    assert gone["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition="tool")["taskDefinition"]["revision"] == 1
    fails("ClientException", "inactive", here.run, taskDefinition="tool:2")
    assert ecs.list_task_definitions(status="INACTIVE")["taskDefinitionArns"] == [arns[1]]


def test_unknown_task_definitions(here: Fargate) -> None:
    ecs = here.client()
    for name in (
        "no",
        "ci-coordinator:2",
        "arn:aws:ecs:us-east-1:123456789012:task-definition/x:1",
    ):
        fails("ClientException", "TaskDefinition not found.", here.run, taskDefinition=name)
        fails("ClientException", "Unable to", ecs.describe_task_definition, taskDefinition=name)
    missing = "Revision is missing."
    deregister = ecs.deregister_task_definition
    fails("InvalidParameterException", missing, deregister, taskDefinition=NAME)


CONTAINER = {"name": NAME, "image": IMAGE}
WRONG_DEFINITIONS: list[tuple[dict[str, Any], str]] = [
    ({"cpu": "256", "memory": "4096"}, "No Fargate configuration exists for given values"),
    ({"cpu": "300"}, "No Fargate configuration exists for given values: 300 CPU, 512 memory"),
    ({"cpu": None}, "Fargate requires that 'cpu' be defined at the task level."),
    ({"memory": None}, "Fargate requires that 'memory' be defined at the task level."),
    ({"cpu": "fast"}, "Invalid 'cpu' setting for task."),
    ({"networkMode": "bridge"}, "Fargate only supports network mode"),
    ({"networkMode": None}, "Fargate only supports network mode"),
    ({"family": "a b"}, "Family contains invalid characters."),
    ({"containerDefinitions": []}, "Container list cannot be empty."),
    ({"containerDefinitions": [{"name": NAME}]}, "Container.image should not be null or empty."),
    ({"containerDefinitions": [{"image": "x"}]}, "Container.name should not be null or empty."),
    ({"containerDefinitions": [CONTAINER, CONTAINER]}, "unique"),
    ({"containerDefinitions": [CONTAINER | {"name": "a b"}]}, "invalid characters"),
    ({"containerDefinitions": [CONTAINER | {"essential": False}]}, "essential"),
    ({"containerDefinitions": [CONTAINER | {"privileged": True}]}, "privileged"),
    ({"containerDefinitions": [CONTAINER | {"stopTimeout": 121}]}, "120 seconds"),
    ({"containerDefinitions": [CONTAINER | {"environment": [{"value": "x"}]}]}, "names"),
    (
        {
            "containerDefinitions": [
                CONTAINER | {"portMappings": [{"containerPort": 22, "hostPort": 23}]}
            ]
        },
        "the host ports and container ports",
    ),
    ({"ephemeralStorage": {"sizeInGiB": 500}}, "between 21 and 200"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG_DEFINITIONS)
def test_wrong_task_definitions(here: Fargate, changes: dict[str, Any], says: str) -> None:
    def register() -> None:
        definition(here, **{"family": "wrong", **changes})

    fails("ClientException", says, register)
    assert here.client().list_task_definitions(familyPrefix="wrong")["taskDefinitionArns"] == []


def test_a_definition_for_ec2_does_not_run(here: Fargate) -> None:
    shown = definition(here, "ec2", networkMode="bridge", requiresCompatibilities=["EC2"])
    assert shown["taskDefinition"]["compatibilities"] == ["EC2"]
    says = "Task definition does not support launch_type FARGATE."
    fails("InvalidParameterException", says, here.run, taskDefinition="ec2")


def test_what_the_embedded_fargate_cannot_run(here: Fargate) -> None:
    definition(here, "two", containerDefinitions=[CONTAINER, CONTAINER | {"name": "other"}])
    fails("UnsupportedFeatureException", "one container", here.run, taskDefinition="two")
    secret = [{"name": "A", "valueFrom": "arn:aws:ssm:eu-west-1:123456789012:parameter/a"}]
    definition(here, "secret", containerDefinitions=[CONTAINER | {"secrets": secret}])
    fails("UnsupportedFeatureException", "secrets", here.run, taskDefinition="secret")


@given(cpu=st.integers(0, 40_000), memory=st.integers(0, 200_000))
def test_sizes(cpu: int, memory: int) -> None:
    try:
        check_size(cpu, memory)
    except ApiError:
        return
    assert cpu % 256 == 0
    assert 2 * cpu <= memory <= 8 * cpu


@given(st.text(max_size=20))
def test_any_text_as_a_size(text: str) -> None:
    for read in (cpu_units, memory_mib):
        with contextlib.suppress(ApiError):
            assert read(text) >= 0


# RunTask


def override(**changes: Any) -> dict[str, Any]:
    return {"overrides": {"containerOverrides": [{"name": NAME} | changes]}}


def network(**changes: Any) -> dict[str, Any]:
    return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]} | changes}}


SPOT = {"capacityProvider": "FARGATE_SPOT", "weight": 1}
LONG = {"environment": [{"name": "A", "value": "x" * 8192}]}
WRONG_RUNS: list[tuple[dict[str, Any], str]] = [
    ({"launchType": "EC2"}, "No Container Instances were found in your cluster."),
    (
        {"launchType": "FARGATE", "capacityProviderStrategy": [SPOT]},
        "Specifying both a launch type",
    ),
    ({"capacityProviderStrategy": [SPOT, SPOT]}, "once only"),
    ({"capacityProviderStrategy": [SPOT | {"weight": 0}]}, "weight greater than 0"),
    ({"capacityProviderStrategy": [{"capacityProvider": "x"}]}, "not associated with the cluster"),
    ({"count": 0}, "between 1 and 10"),
    ({"count": 11}, "between 1 and 10"),
    ({"networkConfiguration": {}}, "Network Configuration must be provided"),
    (network(subnets=[]), "subnets can not be empty."),
    (network(subnets=["subnet-0"] * 17), "at most 16"),
    (network(subnets=["subnet_0"]), "The subnet ID 'subnet_0' does not exist"),
    (network(securityGroups=["sg-0"] * 6), "at most 5"),
    (network(securityGroups=["web"]), "'web' does not exist"),
    (override(name="other"), "Override for container named other is not a container"),
    (override(**LONG), "Container Overrides length must be at most 8192"),
    (override(environment=[{"value": "x"}]), "names"),
    (override(environment=[{"name": "A", "value": "a\0"}]), "without NUL"),
    ({"startedBy": "x" * 129}, "startedBy"),
    ({"startedBy": "a b"}, "startedBy"),
    ({"clientToken": "x" * 65}, "client token"),
    ({"clientToken": "a b"}, "client token"),
    (
        {"tags": [{"key": str(number), "value": ""} for number in range(51)]},
        "less than or equal to",
    ),
    ({"tags": [{"key": "aws:x", "value": ""}]}, "aws:"),
    ({"tags": [{"key": "a"}, {"key": "a"}]}, "Duplicate"),
    ({"launchType": "MOON"}, "enum value set: [EC2, FARGATE"),
    ({"propagateTags": "YES"}, "enum value set"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG_RUNS)
def test_wrong_runs(here: Fargate, changes: dict[str, Any], says: str) -> None:
    before = len(here.tasks())
    fails("InvalidParameterException", says, here.run, **changes)
    assert len(here.tasks()) == before


def test_other_wrong_runs(here: Fargate) -> None:
    fails("PlatformUnknownException", "platform", here.run, platformVersion="9.9.9")
    fails("ClientException", "No Fargate", here.run, overrides={"cpu": "256", "memory": "8192"})


def test_a_token_stands_for_one_launch(here: Fargate) -> None:
    request = {"clientToken": "token-1", "count": 2, "startedBy": "manager"}
    first = here.client().run_task(taskDefinition=NAME, networkConfiguration=NETWORK, **request)
    again = here.client().run_task(taskDefinition=NAME, networkConfiguration=NETWORK, **request)
    arns = [task["taskArn"] for task in first["tasks"]]
    assert [task["taskArn"] for task in again["tasks"]] == arns
    assert len(set(arns)) == 2
    response = fails("ConflictException", "token", here.run, **{**request, "count": 1})
    assert response["resourceIds"] == arns
    here.client().create_cluster(clusterName="other")
    other = here.run(**request, cluster="other", launchType="FARGATE")
    assert other["taskArn"] not in arns
    here.stop(first["tasks"][0])
    stopped = here.run(**request)
    assert (stopped["taskArn"], stopped["desiredStatus"]) == (arns[0], "STOPPED")


def test_a_failed_launch_does_not_use_up_the_token(here: Fargate) -> None:
    fails("InvalidParameterException", "", here.run, clientToken="token-2", count=0)
    here.run(clientToken="token-2")


def test_tasks_are_spread_over_providers(here: Fargate) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "weight": 1, "base": 2},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    tasks = here.client().run_task(
        taskDefinition=NAME,
        networkConfiguration=NETWORK,
        capacityProviderStrategy=strategy,
        count=10,
    )["tasks"]
    providers = [task["capacityProviderName"] for task in tasks]
    assert (providers.count("FARGATE"), providers.count("FARGATE_SPOT")) == (4, 6)
    assert "capacityProviderName" not in here.run(launchType="FARGATE")


def test_tags(here: Fargate) -> None:
    ecs = here.client()
    definition(here, "tagged", tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "1"}])
    task = here.run(
        taskDefinition="tagged",
        tags=[{"key": "b", "value": "2"}],
        propagateTags="TASK_DEFINITION",
        enableECSManagedTags=True,
    )
    arn = task["taskArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "3"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a", "no"])
    expected = {"b": "2", "c": "3", "aws:ecs:clusterName": "default"}
    for shown in (ecs.list_tags_for_resource(resourceArn=arn)["tags"], here.describe(task)["tags"]):
        assert {tag["key"]: tag["value"] for tag in shown} == expected
    assert ecs.describe_tasks(tasks=[arn])["tasks"][0]["tags"] == []
    many = [{"key": f"k{number}", "value": ""} for number in range(48)]
    fails("LimitExceededException", "50", ecs.tag_resource, resourceArn=arn, tags=many)
    fails("ResourceNotFoundException", "", ecs.tag_resource, resourceArn=f"{arn}0", tags=[])
    fails("InvalidParameterException", "", ecs.tag_resource, resourceArn="x", tags=[])
    for resource in (task["clusterArn"], task["taskDefinitionArn"]):
        ecs.tag_resource(resourceArn=resource, tags=[{"key": "d", "value": "4"}])
        tags = ecs.list_tags_for_resource(resourceArn=resource)["tags"]
        assert {"key": "d", "value": "4"} in tags


# DescribeTasks, ListTasks, StopTask


def test_describe_tasks(here: Fargate) -> None:
    ecs = here.client()
    task = here.run()
    unknown = "0" * 32
    answer = ecs.describe_tasks(tasks=[task["taskArn"].rpartition("/")[2], unknown])
    assert [shown["taskArn"] for shown in answer["tasks"]] == [task["taskArn"]]
    arn = f"arn:aws:ecs:eu-west-1:123456789012:task/default/{unknown}"
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    invalid = "InvalidParameterException"
    fails(invalid, "Tasks cannot be empty.", ecs.describe_tasks, tasks=[])
    fails(invalid, "100", ecs.describe_tasks, tasks=[unknown] * 101)
    fails(invalid, "[32,36]", ecs.describe_tasks, tasks=["x"])


def test_list_tasks(here: Fargate) -> None:
    ecs = here.client()
    mine = [here.run(startedBy="lister")["taskArn"] for _ in range(3)]
    here.run(startedBy="lister-2")
    assert ecs.list_tasks(startedBy="lister")["taskArns"] == mine
    first = ecs.list_tasks(startedBy="lister", maxResults=2)
    rest = ecs.list_tasks(startedBy="lister", maxResults=2, nextToken=first["nextToken"])
    assert first["taskArns"] + rest["taskArns"] == mine
    assert ecs.list_tasks(family="no")["taskArns"] == []
    assert mine[0] in ecs.list_tasks(family=NAME, launchType="FARGATE")["taskArns"]
    for wrong in ({"maxResults": 101}, {"maxResults": 0}, {"nextToken": "x"}):
        fails("InvalidParameterException", "", ecs.list_tasks, **wrong)


def test_stop_an_unknown_task(here: Fargate) -> None:
    says = "The referenced task was not found."
    fails("InvalidParameterException", says, here.client().stop_task, task="0" * 32)


# EC2


def test_the_public_address(here: Fargate) -> None:
    ec2 = here.client("ec2")
    public = {"subnets": ["subnet-0abc"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}
    task = here.until(here.run(networkConfiguration={"awsvpcConfiguration": public}), "RUNNING")
    names = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
    identifier = names["networkInterfaceId"]
    answer = ec2.describe_network_interfaces(NetworkInterfaceIds=[identifier])
    (interface,) = answer["NetworkInterfaces"]
    assert interface["Association"]["PublicIp"] == names["privateIPv4Address"]
    assert interface["PrivateIpAddress"] == names["privateIPv4Address"]
    assert interface["Groups"] == [{"GroupId": "sg-1"}]
    private = here.until(here.run(), "RUNNING")
    all_of_them = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert len([one for one in all_of_them if "Association" in one]) == 1
    assert len(all_of_them) >= 2
    here.stop(task)
    here.stop(private)
    code = "InvalidNetworkInterfaceID.NotFound"
    fails(code, identifier, ec2.describe_network_interfaces, NetworkInterfaceIds=[identifier])
    fails("InvalidAction", "DescribeVpcs", ec2.describe_vpcs)
    filters = [{"Name": "subnet-id", "Values": ["subnet-0abc"]}]
    fails("UnsupportedOperation", "id only", ec2.describe_network_interfaces, Filters=filters)


# The protocol


def test_unknown_operations(here: Fargate) -> None:
    assert raw(here, "MakeCoffee", b"{}")[1]["__type"] == "UnknownOperationException"
    fails(
        "UnknownOperationException", "CreateService", here.client().create_service, serviceName="x"
    )
    assert here.calls()[-1]["outcome"] == "UnknownOperationException"
    assert here.calls()[-1]["operation"] == "CreateService"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"\xff", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"tasks": NaN}', "SerializationException"),
        (b'{"tasks": "x"}', "SerializationException"),
        (b"{}", "InvalidParameterException"),
        (b'{"tasks": [], "what": 1}', "InvalidParameterException"),
        (b'{"tasks": null}', "InvalidParameterException"),
        (b'{"tasks": ["x"], "include": ["ALL"]}', "InvalidParameterException"),
        (b'{"tasks": ["\\ud800"]}', "InvalidParameterException"),
    ],
)
def test_malformed_requests(here: Fargate, body: bytes, code: str) -> None:
    status, answer = raw(here, "DescribeTasks", body)
    assert (status, answer["__type"]) == (400, code)
    assert len(answer["message"]) < 1000


def test_requests_without_a_signature(here: Fargate) -> None:
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks"}
    status, text = here.request("/", b"{}", target)
    assert (status, json.loads(text)["__type"]) == (400, "MissingAuthenticationTokenException")
    status, text = here.request("/", b"Action=DescribeNetworkInterfaces&Version=2016-11-15")
    assert status == 400
    assert "<Code>MissingAuthenticationToken</Code>" in text
    status, text = here.request("/", b"{}", {**target, "Authorization": "Basic x"})
    assert json.loads(text)["__type"] == "IncompleteSignatureException"


def test_calls_are_kept(here: Fargate) -> None:
    here.client().list_clusters()
    call = here.calls()[-1]
    assert set(call) == {"time", "operation", "outcome", "source"}
    assert (call["operation"], call["outcome"], call["source"]) == ("ListClusters", "ok", "driver")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from([NAME, "aws:"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "environment", "value", "key", "subnets", "cpu", "memory"])
            | st.sampled_from(["containerOverrides", "awsvpcConfiguration", "capacityProvider"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)
PARAMETERS = ["cluster", "count", "overrides", "tags", "startedBy", "networkConfiguration"]
MORE = ["clientToken", "capacityProviderStrategy", "launchType", "group", "taskDefinition"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(PARAMETERS + MORE), VALUES, min_size=1, max_size=3))
def test_any_run_is_answered_without_an_internal_error(
    here: Fargate, changes: dict[str, Any]
) -> None:
    request = {"taskDefinition": NAME, "networkConfiguration": NETWORK} | changes
    before = len(here.tasks())
    status, answer = raw(here, "RunTask", json.dumps(request).encode())
    if status == 200:
        for task in answer["tasks"]:
            here.client().stop_task(task=task["taskArn"])
    else:
        assert status == 400, answer
        assert len(here.tasks()) == before


# Limits


def test_aws_rates(tmp_path: Path) -> None:
    with fargate(tmp_path, aws_limits=True) as here:
        for number in range(23):
            try:
                definition(here, f"family{number}")
            except ClientError as error:
                assert error.response["Error"]["Message"] == "Rate exceeded"  # noqa: PT017 - some pass
        outcomes = [call["outcome"] for call in here.calls()]
    assert outcomes[:20] == ["ok"] * 20
    assert "ThrottlingException" in outcomes


def test_launches_have_a_bucket_per_provider_and_region() -> None:
    now = [0.0]
    limits = Limits(AWS_RATES, lambda: now[0])

    def launched(region: str, provider: str) -> int:
        number = 0
        while True:
            try:
                limits.take(region, f"launch {provider}", 10)
            except ApiError:
                return number
            number += 10

    assert launched("eu-west-1", "FARGATE") == 100
    assert launched("eu-west-1", "FARGATE_SPOT") == 100
    assert launched("us-east-1", "FARGATE") == 100
    now[0] = 1.0
    assert launched("eu-west-1", "FARGATE") == 20
    limits.take("eu-west-1", "ListTasks", 1000)
