"""A local Fargate, and jobs on it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from local_fargate import LocalFargate, local_fargate
from operated_job import OperatedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeJob = Callable[..., OperatedJob]


@pytest.fixture(scope="module")
def fargate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFargate]:
    with local_fargate(tmp_path_factory.mktemp("fargate")) as running:
        yield running
        running.faults()
        running.assert_nothing_left()


@pytest.fixture(scope="module")
def make_job(
    fargate: LocalFargate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., OperatedJob]]:
    """Make a job that runs; it is ended at last."""
    numbers = itertools.count(1001)
    made: list[OperatedJob] = []

    def make(**variables: str) -> OperatedJob:
        number = next(numbers)
        directory = tmp_path_factory.mktemp(f"job-{number}")
        job = OperatedJob(directory, fargate.config, number, variables)
        made.append(job)
        return job

    yield make
    for job in made:
        job.end()
