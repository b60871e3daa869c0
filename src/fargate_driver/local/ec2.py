"""EC2's DescribeNetworkInterfaces, which tells a task's public address.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
(query in, XML out).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.arns import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fargate_driver.local.task import Interface
    from fargate_driver.local.world import World

_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_NO_ADDRESS = "0.0.0.0"  # noqa: S104 - shown while there is none yet, nothing binds to it


def describe_network_interfaces(world: World, region: str, query: Mapping[str, str]) -> bytes:
    """Answer with the interfaces asked for, or all; a stopped task has none any more.

    Raises:
        ApiError: an id is unknown, the request filters, which isn't offered here, or it only asks
            whether it is allowed.
    """
    if query.get("DryRun") == "true":
        raise ApiError(
            "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
        )
    if any(name.startswith("Filter.") for name in query):
        raise ApiError("UnsupportedOperation", "The embedded Fargate finds interfaces by id only.")
    existing = {
        task.interface.interface_id: task.interface
        for task in world.tasks.values()
        if task.region == region and task.interface.status in {"ATTACHING", "ATTACHED"}
    }
    wanted = [value for name, value in query.items() if name.startswith("NetworkInterfaceId.")]
    for identifier in wanted:
        if identifier not in existing:
            raise ApiError(
                "InvalidNetworkInterfaceID.NotFound",
                f"The networkInterface ID '{identifier}' does not exist",
            )
    return _answer(region, [existing[identifier] for identifier in wanted or existing])


def error_answer(error: ApiError) -> bytes:
    """Return an error as EC2 writes it."""
    root = ET.Element("Response")
    item = ET.SubElement(ET.SubElement(root, "Errors"), "Error")
    ET.SubElement(item, "Code").text = error.code
    ET.SubElement(item, "Message").text = error.message
    ET.SubElement(root, "RequestID").text = str(uuid.uuid4())
    return encode(root)


def _answer(region: str, interfaces: Iterable[Interface]) -> bytes:
    root = answer("DescribeNetworkInterfacesResponse")
    items = ET.SubElement(root, "networkInterfaceSet")
    for interface in interfaces:
        item = ET.SubElement(items, "item")
        address = interface.address or _NO_ADDRESS
        for name, text in (
            ("networkInterfaceId", interface.interface_id),
            ("subnetId", interface.subnet),
            ("availabilityZone", f"{region}a"),
            ("ownerId", ACCOUNT),
            ("macAddress", interface.mac),
            ("privateIpAddress", address),
            ("status", "in-use"),
        ):
            ET.SubElement(item, name).text = text
        groups = ET.SubElement(item, "groupSet")
        for group in interface.security_groups:
            ET.SubElement(ET.SubElement(groups, "item"), "groupId").text = group
        if interface.public and interface.address:
            association = ET.SubElement(item, "association")
            ET.SubElement(association, "publicIp").text = interface.address
            ET.SubElement(association, "ipOwnerId").text = "amazon"
    return encode(root)


def answer(name: str) -> ET.Element:
    """Return the beginning of an answer of EC2's."""
    root = ET.Element(name, xmlns=_NAMESPACE)
    ET.SubElement(root, "requestId").text = str(uuid.uuid4())
    return root


def encode(root: ET.Element) -> bytes:
    """Return an answer as it is sent."""
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text
