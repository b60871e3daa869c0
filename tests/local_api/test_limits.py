from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.limits import AWS_RATES, Limits
from local_api.fargate_under_test import (
    definition,
    fargate,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_aws_rates(tmp_path: Path) -> None:
    with fargate(tmp_path, aws_limits=True) as here:
        for number in range(23):
            try:
                definition(here, f"family{number}")
            except ClientError as error:
                assert error.response["Error"]["Message"] == "Rate exceeded"  # noqa: PT017 - some pass
        outcomes = [call["outcome"] for call in here.calls()]
    assert outcomes[:20] == ["ok"] * 20
    assert "ThrottlingException" in outcomes


def test_launches_have_a_bucket_per_provider_and_region() -> None:
    now = [0.0]
    limits = Limits(AWS_RATES, lambda: now[0])

    def launched(region: str, provider: str) -> int:
        number = 0
        while True:
            try:
                limits.take(region, f"launch {provider}", 10)
            except ApiError:
                return number
            number += 10

    assert launched("eu-west-1", "FARGATE") == 100
    assert launched("eu-west-1", "FARGATE_SPOT") == 100
    assert launched("us-east-1", "FARGATE") == 100
    now[0] = 1.0
    assert launched("eu-west-1", "FARGATE") == 20
    limits.take("eu-west-1", "ListTasks", 1000)
