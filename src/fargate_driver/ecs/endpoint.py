"""Telling the embedded Fargate's endpoint from AWS's."""

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
