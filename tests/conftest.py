"""What every test gets."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest

import no_aws

pytest_plugins = ["recorded_calls"]

if TYPE_CHECKING:
    from collections.abc import Iterator


no_aws.keep_away()

# A busy machine is no failure: times are measured in benchmarks. Fixtures of a function are folders
# here, which the next example may use again.
hypothesis.settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
# What fails in CI fails here too: the same examples each time. New ones are found at the desks.
hypothesis.settings.register_profile(
    "repeatable", hypothesis.settings.get_profile("here"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("repeatable" if os.environ.get("CI") else "here")


@pytest.fixture(autouse=True)
def same_process() -> Iterator[None]:
    """What a stage changes in its process, where a test calls it in this one."""
    umask = os.umask(0o022)
    numbers = (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    os.umask(umask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `long` are the first; those marked `root` are skipped aloud elsewhere."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))
