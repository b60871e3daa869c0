"""The history file: nothing of it is lost or trusted."""

from __future__ import annotations

import json
import multiprocessing
import stat
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver import history
from fargate_driver.ecs.target import Target
from fargate_driver.history import Entry

if TYPE_CHECKING:
    from pathlib import Path


def ended(number: int = 1, began: float = 2e9, **changed: Any) -> Entry:
    entry = Entry(
        job=str(number),
        name="test",
        pipeline="500",
        project="group/project",
        state="success",
        image="",
        definition="ci-coordinator:1",
        container="ci-coordinator",
        task_arn=f"arn:aws:ecs:us-east-1:123456789012:task/ci/{number:032x}",
        cpu="1024",
        memory="2048",
        capacity="FARGATE",
        cost="",
        began=began,
        seconds=60.0,
        target=Target("us-east-1", "ci"),
    )
    return entry._replace(**changed)


def numbers(directory: str) -> list[int]:
    return [int(one.job) for one in history.read(directory)]


def _append(directory: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        history.append(directory, ended(number))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    directory = str(tmp_path / "records")
    assert history.read(directory) == []
    history.append(directory, ended(7, name="\ud800[bold]\x1b\n"))
    (found,) = history.read(directory)
    assert found[:-1] == ended(7, name="\ud800[bold]\x1b\n")[:-1]
    assert found.target.region == "us-east-1"
    file = history.file_of(directory)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.parent == tmp_path


def test_writers_at_once_lose_nothing_while_the_file_is_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LARGEST", 300_000)
    directory = str(tmp_path / "records")
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append, args=(directory, 1 + 200 * n, 200)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 8
    found = numbers(directory)
    assert 200 < len(found) < 1000
    assert len(set(found)) == len(found)
    # What is kept of a writer are its last lines, without a gap.
    for n in range(8):
        own = [number for number in found if (number - 1) // 200 == n]
        assert own == list(range(1 + 200 * (n + 1) - len(own), 1 + 200 * (n + 1)))
    assert [path.name for path in tmp_path.iterdir()] == ["records-history"]


def test_old_jobs_are_forgotten_with_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LARGEST", 3000)
    directory = str(tmp_path / "records")
    for number in range(1, 10):
        history.append(directory, ended(number, began=1e9 if number % 2 else 2e9))
    assert numbers(directory) == [6, 8, 9]


def test_a_line_that_was_cut_off_costs_that_line_only(tmp_path: Path) -> None:
    directory = str(tmp_path / "records")
    _append(directory, 1, 2)
    file = history.file_of(directory)
    file.write_bytes(file.read_bytes()[:-20])
    _append(directory, 3, 2)
    assert numbers(directory) == [1, 3, 4]


@pytest.mark.parametrize(
    "change",
    [{"job": 5}, {"began": "x"}, {"target": None}, {"target": {"region": 1}}, {"more": ""}],
)
def test_lines_that_make_no_sense_are_skipped(tmp_path: Path, change: dict[str, Any]) -> None:
    directory = str(tmp_path / "records")
    _append(directory, 1, 1)
    file = history.file_of(directory)
    line = json.loads(file.read_text()) | change
    bad = ["[]", "null", "7", "{", "[" * 100_000, "\x00", json.dumps(line)]
    file.write_bytes(file.read_bytes() + "\n".join(bad).encode() + b"\xff\n")
    _append(directory, 2, 1)
    assert numbers(directory) == [1, 2]


def test_no_history_is_no_failure(tmp_path: Path) -> None:
    directory = str(tmp_path / "missing" / "records")
    history.append(directory, ended())
    assert history.read(directory) == []
    history.file_of(str(tmp_path / "records")).symlink_to(tmp_path / "elsewhere")
    history.append(str(tmp_path / "records"), ended())
    assert not (tmp_path / "elsewhere").exists()
