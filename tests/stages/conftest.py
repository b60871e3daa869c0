"""A local Fargate for single calls of the stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_fargate import LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate")) as running:
        yield running


@pytest.fixture
def fargate(shared: LocalFargate) -> Iterator[LocalFargate]:
    """The module's Fargate without faults; nothing of a test is left on it."""
    shared.faults()
    yield shared
    shared.faults()
    shared.assert_nothing_left()
    assert list(Path(shared.settings["TaskMetadata"]["Directory"]).glob("[0-9]*")) == []
