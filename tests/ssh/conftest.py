"""Tasks for the tests of the SSH side; each ends with all that runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ssh.pretended_task import Stages, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    """A task that has not been started yet."""
    made = Task(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def stages(task: Task) -> Stages:
    """An opened task to run scripts in."""
    task.start()
    return Stages(task, task.open())
