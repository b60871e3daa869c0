"""STS's GetCallerIdentity: everybody is the embedded account's root, as its task definitions say.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from fargate_driver.local import ec2
from fargate_driver.local.arns import ACCOUNT, partition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.local.world import World

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def get_caller_identity(_world: World, region: str, _query: Mapping[str, str]) -> bytes:
    """GetCallerIdentity."""
    root = ET.Element("GetCallerIdentityResponse", xmlns=_NAMESPACE)
    result = ET.SubElement(root, "GetCallerIdentityResult")
    ET.SubElement(result, "Arn").text = f"arn:{partition(region)}:iam::{ACCOUNT}:root"
    ET.SubElement(result, "UserId").text = ACCOUNT
    ET.SubElement(result, "Account").text = ACCOUNT
    return ec2.encode(root)
