from __future__ import annotations

import pytest

from fargate_driver.ecs.links import task_page

TASK = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
@pytest.mark.parametrize("long", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_task_has_a_page(
    partition: str, region: str, host: str, *, long: bool, named: bool
) -> None:
    account = f"arn:{partition}:ecs:{region}:123456789012"
    arn = f"{account}:task/{'ci/' if long else ''}{TASK}"
    page = task_page(arn, "ci" if named else f"{account}:cluster/ci")
    path = f"ecs/v2/clusters/ci/tasks/{TASK}/configuration"
    assert page == f"https://{host}/{path}?region={region}"


def test_other_partitions_have_none() -> None:
    assert task_page(f"arn:aws-iso:ecs:us-iso-east-1:123456789012:task/ci/{TASK}", "ci") is None
