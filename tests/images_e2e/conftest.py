"""Embedded Fargates that share imported images, and a stand-in for GitLab."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import image_kinds
from gitlab_server import GitLab, gitlab, write_helper
from local_fargate import LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLab]:
    with gitlab(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's store of images, that of all workers."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        data = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "image-kinds"
        patch.setenv("XDG_DATA_HOME", str(data))
        yield data / "fargate" / "images"


@pytest.fixture(scope="module", params=["user"])
def shared_fargate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: Path
) -> Iterator[LocalFargate]:
    image_kinds.add(store, "service")
    helper = write_helper(tmp_path_factory.mktemp("bin"))
    with local_fargate(
        tmp_path_factory.mktemp("f") / "l", path=helper, runtime=request.param, images=True
    ) as running:
        yield running


@pytest.fixture
def fargate(shared_fargate: LocalFargate) -> Iterator[LocalFargate]:
    """The module's Fargate, which nothing of this test is left on afterwards."""
    yield shared_fargate
    shared_fargate.faults()
    shared_fargate.assert_nothing_left()
