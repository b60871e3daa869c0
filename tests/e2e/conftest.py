"""A local Fargate, a stand-in for GitLab, and jobs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitlab_server import GitLab, gitlab, write_helper
from local_fargate import LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLab]:
    with gitlab(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


@pytest.fixture(scope="module")
def shared_fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    helper = write_helper(tmp_path_factory.mktemp("bin"))
    with local_fargate(tmp_path_factory.mktemp("f") / "l", path=helper) as running:
        yield running


@pytest.fixture
def fargate(shared_fargate: LocalFargate) -> Iterator[LocalFargate]:
    """The module's Fargate, which nothing of this test is left on afterwards."""
    yield shared_fargate
    shared_fargate.faults()
    shared_fargate.assert_nothing_left()
