"""EC2's subnets and security groups: those that a region has from the start, and new groups.

RunTask takes any subnet and group of a right form; here only those that exist are shown. New groups
have no ingress rule, as on AWS. Sources:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html and its siblings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from fargate_driver.local import ec2
from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.arns import ACCOUNT, ec2_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fargate_driver.local.world import World

_VPC = "vpc-0fa46a7e10ca1f0a0"
_BLOCK = "10.0.0.0/20"
_ADDRESSES = 4091  # of a block of 4096: AWS keeps five of each subnet


def describe_subnets(world: World, region: str, query: Mapping[str, str]) -> bytes:
    """DescribeSubnets, by id.

    Raises:
        ApiError: a subnet is unknown, or the request filters.
    """
    existing = world.region(region).subnets
    root = ec2.answer("DescribeSubnetsResponse")
    items = ET.SubElement(root, "subnetSet")
    for identifier in _wanted(query, "SubnetId.", existing, "InvalidSubnetID.NotFound", "subnet"):
        taken = sum(
            task.interface.subnet == identifier and task.status != "STOPPED"
            for task in world.tasks.values()
            if task.region == region
        )
        item = ET.SubElement(items, "item")
        for name, text in (
            ("subnetId", identifier),
            ("vpcId", _VPC),
            ("state", "available"),
            ("cidrBlock", _BLOCK),
            ("availableIpAddressCount", str(_ADDRESSES - taken)),
            ("availabilityZone", f"{region}a"),
            ("ownerId", ACCOUNT),
        ):
            ET.SubElement(item, name).text = text
    return ec2.encode(root)


def describe_security_groups(world: World, region: str, query: Mapping[str, str]) -> bytes:
    """DescribeSecurityGroups, by id.

    Raises:
        ApiError: a group is unknown, or the request filters.
    """
    existing = world.region(region).security_groups
    root = ec2.answer("DescribeSecurityGroupsResponse")
    items = ET.SubElement(root, "securityGroupInfo")
    for identifier in _wanted(
        query, "GroupId.", existing, "InvalidGroup.NotFound", "security group"
    ):
        item = ET.SubElement(items, "item")
        for name, text in (
            ("ownerId", ACCOUNT),
            ("groupId", identifier),
            ("groupName", existing[identifier]),
            ("groupDescription", existing[identifier]),
            ("vpcId", _VPC),
        ):
            ET.SubElement(item, name).text = text
        permissions = ET.SubElement(item, "ipPermissions")
        if identifier in world.region(region).open_groups:
            permission = ET.SubElement(permissions, "item")
            ET.SubElement(permission, "ipProtocol").text = "-1"
            ranges = ET.SubElement(permission, "ipRanges")
            ET.SubElement(ET.SubElement(ranges, "item"), "cidrIp").text = "0.0.0.0/0"
    return ec2.encode(root)


def create_security_group(world: World, region: str, query: Mapping[str, str]) -> bytes:
    """CreateSecurityGroup: one that lets nobody in.

    Raises:
        ApiError: it gets no name.
    """
    if not query.get("GroupName"):
        raise ApiError("MissingParameter", "The request must contain the parameter groupName")
    identifier = ec2_id("sg")
    world.region(region).security_groups[identifier] = query["GroupName"]
    root = ec2.answer("CreateSecurityGroupResponse")
    ET.SubElement(root, "return").text = "true"
    ET.SubElement(root, "groupId").text = identifier
    return ec2.encode(root)


def _wanted(
    query: Mapping[str, str], prefix: str, existing: Collection[str], code: str, what: str
) -> list[str]:
    """The ids that a request names, or all."""
    if any(name.startswith("Filter.") for name in query):
        raise ApiError("UnsupportedOperation", f"The embedded Fargate finds a {what} by id only.")
    wanted = [value for name, value in query.items() if name.startswith(prefix)]
    for identifier in wanted:
        if identifier not in existing:
            raise ApiError(code, f"The {what} ID '{identifier}' does not exist")
    return wanted or list(existing)
