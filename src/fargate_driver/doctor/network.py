"""Subnets, and the security groups between this host and a task's SSH server."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor.aws import Aws, CallError
from fargate_driver.doctor.background import begin
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings


def look(aws: Aws, config: Settings) -> Iterator[Finding]:
    """Check subnets and security groups.

    Args:
        aws: For the calls.
        config: The settings.
    """
    wanted = list(config.fargate.subnets)
    for entry in config.capacity:
        wanted += [subnet for subnet in entry.subnets or () if subnet not in wanted]
    names = list(config.fargate.security_groups)
    reading = begin(lambda: aws.call("ec2:DescribeSecurityGroups", GroupIds=names))
    found: list[dict[str, Any]] = []
    try:
        found = aws.call("ec2:DescribeSubnets", SubnetIds=wanted)["Subnets"]
        yield subnets(found)
    except CallError as error:
        if error.code.startswith("InvalidSubnetID"):
            mend = "set [Fargate] Subnet to some that `aws ec2 describe-subnets` shows, or Region"
            yield wrong("subnets", error.message, mend)
        else:
            yield unchecked("subnets", error.why)
    try:
        groups = reading.result()["SecurityGroups"]
    except CallError as error:
        if error.code.startswith("InvalidGroup"):
            mend = (
                "set [Fargate] SecurityGroup to some that `aws ec2 describe-security-groups` shows,"
                " or Region"
            )
            yield wrong("security-groups", error.message, mend)
        else:
            yield unchecked("security-groups", error.why)
        return
    one_vpc = len({subnet["VpcId"] for subnet in found}) == 1
    yield security_groups(groups, found if one_vpc else [], config)


def subnets(found: list[dict[str, Any]]) -> Finding:
    """Judge what DescribeSubnets answered.

    Args:
        found: Its Subnets.
    """
    vpcs = sorted({subnet["VpcId"] for subnet in found})
    if len(vpcs) > 1:
        mend = "name subnets of one VPC in [Fargate] Subnet: that of the security groups"
        return wrong("subnets", f"they are in several VPCs: {', '.join(vpcs)}", mend)
    free = {subnet["SubnetId"]: int(subnet["AvailableIpAddressCount"]) for subnet in found}
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in found}
    told = ", ".join(f"{name} ({zones[name]}): {count} free" for name, count in free.items())
    full = [name for name, count in free.items() if count == 0]
    if full:
        mend = "name larger subnets in [Fargate] Subnet: each task takes an address"
        return wrong("subnets", f"no free address is left in {', '.join(full)}", mend)
    return ok("subnets", f"in {vpcs[0]}: {told}")


def security_groups(
    groups: list[dict[str, Any]], subnets_found: list[dict[str, Any]], config: Settings
) -> Finding:
    """Judge whether the groups let this host reach the SSH ports.

    Args:
        groups: SecurityGroups, as DescribeSecurityGroups answers.
        subnets_found: Subnets of one VPC, as DescribeSubnets answers; empty where unknown.
        config: The settings.
    """
    vpcs = {group["VpcId"] for group in groups} | {subnet["VpcId"] for subnet in subnets_found}
    names = ", ".join(group["GroupId"] for group in groups)
    if len(vpcs) > 1:
        mend = "name security groups of the subnets' VPC in [Fargate] SecurityGroup"
        return wrong(
            "security-groups", f"they are in several VPCs: {', '.join(sorted(vpcs))}", mend
        )
    told = []
    for port in _ports(config):
        rules = [rule for group in groups for rule in group["IpPermissions"] if _covers(rule, port)]
        if not rules:
            return wrong(
                "security-groups",
                f"{names} let nobody reach port {port}",
                f"`aws ec2 authorize-security-group-ingress --group-id {groups[0]['GroupId']}"
                f" --protocol tcp --port {port} --source-group` and this host's group",
            )
        networks = [ip_network(one["CidrIp"]) for rule in rules for one in rule.get("IpRanges", [])]
        others = [
            str(one.get("GroupId") or one.get("PrefixListId") or one.get("CidrIpv6"))
            for rule in rules
            for kind in ("UserIdGroupPairs", "PrefixListIds", "Ipv6Ranges")
            for one in rule.get(kind, [])
        ]
        sources = ", ".join([*map(str, networks), *others])
        if not _lets_in(networks, subnets_found, config):
            return unchecked(
                "security-groups",
                f"port {port} is open for {sources}: whether that is this host can't be told",
            )
        told.append(f"port {port} from {sources}")
    return ok("security-groups", f"{names}: {'; '.join(told)}")


def _ports(config: Settings) -> list[int]:
    """The ports that the driver connects to."""
    ports = [config.ssh.port] if config.fargate.task_definition else []
    if config.images.enabled:
        ports += [config.images.ssh_port, config.images.helper_ssh_port]
    return sorted(set(ports or [config.ssh.port]))


def _covers(rule: dict[str, Any], port: int) -> bool:
    protocol = rule["IpProtocol"]
    if protocol == "-1":
        return True
    return protocol in ("tcp", "6") and rule["FromPort"] <= port <= rule["ToPort"]


def _lets_in(
    networks: list[IPv4Network | Any], subnets_found: list[dict[str, Any]], config: Settings
) -> bool:
    """Whether it is sure that a rule speaks of this host."""
    if any(network.prefixlen == 0 for network in networks):
        return True
    if config.fargate.connects_to_public_ip or not subnets_found:
        return False  # the address that a task sees may be that of a NAT gateway
    here = {_address_towards(str(subnet["CidrBlock"])) for subnet in subnets_found}
    return all(any(address in network for network in networks) for address in here if address)


def _address_towards(block: str) -> IPv4Address | Any:
    """This host's address as a subnet sees it; None where there is no way. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(ip_network(block)[1]), 9))
        except OSError:
            return None
        return ip_address(probe.getsockname()[0])
