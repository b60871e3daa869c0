"""One embedded Fargate per test module, without rules at the start of each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_api.fargate_under_test import Fargate, fargate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def _module_fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fargate]:
    with fargate(tmp_path_factory.mktemp("fargate")) as here:
        yield here


@pytest.fixture
def here(_module_fargate: Fargate) -> Iterator[Fargate]:
    """A Fargate of time scale 1; its tasks are ended after the test."""
    _module_fargate.faults()
    yield _module_fargate
    _module_fargate.faults()
    for task in _module_fargate.tasks():
        if task["lastStatus"] != "STOPPED" and ":eu-west-1:" in task["taskArn"]:
            cluster = task["clusterArn"]
            _module_fargate.client().stop_task(cluster=cluster, task=task["taskArn"])
