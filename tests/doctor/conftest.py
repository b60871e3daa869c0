"""A local Fargate for the doctor, and settings for it with one thing wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.session
import pytest

from doctor.patient import Patient
from local_fargate import LocalFargate, local_fargate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def one_loader() -> Iterator[None]:
    """Read AWS's models once: that takes longer than all else that the doctor does."""
    loader = botocore.session.create_loader()
    with pytest.MonkeyPatch.context() as change:
        change.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate"), runtime="process") as running:
        yield running


@pytest.fixture
def patient(shared: LocalFargate, tmp_path: Path) -> Iterator[Patient]:
    """Settings that are right; no task is left of the test."""
    shared.faults()
    patient = Patient(shared, tmp_path)
    yield patient
    patient.close()
    shared.faults()
    shared.assert_nothing_left()
