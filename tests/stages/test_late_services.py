"""What can't be told of dead services never changes what a script's end means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fargate_driver import jobs, records
from fargate_driver.stages import late_services

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("note", ["", "[1]", "7", "{}", '[{"name": []}]', "\x00"])
def test_damaged_notes_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    class Record:
        task_arn = "arn:aws:ecs:us-east-1:123456789012:task/ci/0"
        target = None

    monkeypatch.setattr(records, "load", lambda _: Record)
    (tmp_path / jobs.SERVICES).write_text(note)
    late_services.tell(str(tmp_path))
    late_services.tell(str(tmp_path / "gone"))
