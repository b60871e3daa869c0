from __future__ import annotations

from local_api.fargate_under_test import (
    Fargate,
    fails,
)


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
