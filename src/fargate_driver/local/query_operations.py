"""The operations that the embedded Fargate offers of services with query in and XML out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fargate_driver.local import ec2, ec2_network, sts

if TYPE_CHECKING:
    from fargate_driver.local.world import World

Operation = Callable[["World", str, Mapping[str, str]], bytes]
"""Answers a query in a region, at once."""

QUERY_OPERATIONS: Mapping[str, Operation] = {
    "CreateSecurityGroup": ec2_network.create_security_group,
    "DescribeNetworkInterfaces": ec2.describe_network_interfaces,
    "DescribeSecurityGroups": ec2_network.describe_security_groups,
    "DescribeSubnets": ec2_network.describe_subnets,
    "GetCallerIdentity": sts.get_caller_identity,
}
