"""Which address a service of AWS is called at, and telling the embedded Fargate's from AWS's."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(endpoint: str | None) -> bool:
    """Whether an endpoint is on this machine.

    Args:
        endpoint: a URL, or None for AWS's own.
    """
    host = urlsplit(endpoint).hostname if endpoint else None
    if not host:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def endpoint_for(service: str, endpoint: str | None) -> str | None:
    """The address to call one of AWS's services at.

    EndpointURL is ECS's. The embedded Fargate, which is on this machine, serves all services at its
    one address; a VPC endpoint of ECS serves no other. Without an address botocore finds it, by
    AWS_ENDPOINT_URL_EC2 and the like too
    (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).

    Args:
        service: As botocore names it, such as `ec2`.
        endpoint: EndpointURL, or None.
    """
    return endpoint if service == "ecs" or is_loopback(endpoint) else None
