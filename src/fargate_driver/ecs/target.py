"""Where ECS is called: what a later stage needs to reach the same cluster again."""

from __future__ import annotations


class Target:
    """The ECS endpoint, account and cluster of a job.

    Args:
        region: the AWS Region's name.
        cluster: the cluster's name or ARN.
        endpoint_url: another endpoint for ECS than AWS's own, or None (endpoint.py has the rule).
        assume_role: the ARN of a role to call ECS with, or None.
    """

    __slots__ = ("assume_role", "cluster", "endpoint_url", "region")

    def __init__(
        self,
        region: str,
        cluster: str,
        endpoint_url: str | None = None,
        assume_role: str | None = None,
    ) -> None:
        self.region = region
        self.cluster = cluster
        self.endpoint_url = endpoint_url
        self.assume_role = assume_role
