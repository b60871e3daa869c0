"""Links into the AWS console."""

from __future__ import annotations

_DOMAINS = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "{region}.console.amazonaws-us-gov.com",
}
"""The console of each partition that has a public one. That of `aws` is in
https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html, that of `aws-cn` in the links which
https://github.com/aws-actions/amazon-ecs-deploy-task-definition prints; that of `aws-us-gov` is
nowhere in AWS's documentation, but as its users link to it."""


def task_page(task_arn: str, cluster: str) -> str | None:
    """The page of a task in the AWS console.

    Args:
        task_arn: the task.
        cluster: its cluster's name or ARN: the older form of tasks' ARNs lacks it.

    Returns:
        The address; None where the partition has no console that is known.
    """
    _, partition, _, region, _, resource = task_arn.split(":", 5)
    if partition not in _DOMAINS:
        return None
    host = _DOMAINS[partition].format(region=region)
    name, task_id = cluster.rpartition("/")[2], resource.rpartition("/")[2]
    return f"https://{host}/ecs/v2/clusters/{name}/tasks/{task_id}/configuration?region={region}"
