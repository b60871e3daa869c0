"""The rates that the drivers of one host keep together."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs import pace
from local_fargate import until

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = pace.Rate(per_second=10, burst=3)
HOLD = """
import sys, time
from pathlib import Path
from fargate_driver.ecs import pace
with pace.hold(Path(sys.argv[1]), pace.Rate(10, 3)) as bucket:
    bucket.take(100)
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_burst_then_the_rate(tmp_path: Path) -> None:
    path = pace.place(tmp_path, "RunTask", "us-east-1")
    begun = time.monotonic()
    taken = 0
    while (passed := time.monotonic() - begun) < 1:
        taken += pace.take(path, RATE) == 0
    assert RATE.burst <= taken <= RATE.burst + passed * RATE.per_second + 1
    while not (wait := pace.take(path, RATE)):
        pass
    assert wait <= 0.1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_processes_keep_one_rate(tmp_path: Path) -> None:
    path = pace.place(tmp_path, "RunTask", "us-east-1")
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom fargate_driver.ecs import pace\n"
        "for _ in range(5):\n"
        "    while wait := pace.take(Path(sys.argv[1]), pace.Rate(10, 3)):\n"
        "        time.sleep(wait)\n"
        "    print(time.monotonic())\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    turns = sorted(
        float(line) for process in processes for line in process.communicate(timeout=60)[0].split()
    )
    assert len(turns) == 20
    # 1.7 s; a process may have been held up between its first turn and its look at the clock.
    assert turns[-1] - turns[0] > 1


def test_a_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    path = pace.place(tmp_path, "x")
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pace.hold(path, RATE) as bucket:
            assert bucket is None
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: can_hold(path))


def can_hold(path: Path) -> bool:
    with pace.hold(path, RATE) as bucket:
        return bucket is not None


def test_a_stuck_holder_wedges_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Bug 28: https://github.com/actions/actions-runner-controller/issues/3685
    monkeypatch.setattr(pace, "_PATIENCE", 0.1)
    path = pace.place(tmp_path, "x")
    with pace.hold(path, RATE) as bucket:
        assert bucket
        assert pace.take(path, RATE) == 0


@given(st.binary(max_size=80) | st.text(max_size=20).map(str.encode))
def test_any_content_is_a_full_bucket(tmp_path: Path, content: bytes) -> None:
    path = pace.place(tmp_path, "x")
    path.write_bytes(content)
    assert pace.take(path, RATE) == 0
    assert len(path.read_text().split()) == 2


@pytest.mark.parametrize(
    "content",
    [
        lambda boot: f"{boot} {time.monotonic() + 10_000}\n",  # no driver queues that long
        lambda _boot: f"00000000-0000-0000-0000-000000000000 {time.monotonic() + 60}\n",
        lambda boot: f"{boot} nan\n",
        lambda boot: f"{boot} inf\n",
        lambda boot: f"{boot}",
    ],
    ids=["far future", "another boot", "nan", "inf", "half-written"],
)
def test_a_number_of_nobody(tmp_path: Path, content: Callable[[str], str]) -> None:
    path = pace.place(tmp_path, "x")
    path.write_text(content(Path("/proc/sys/kernel/random/boot_id").read_text().strip()))
    assert pace.take(path, RATE) == 0
    assert pace.take(path, RATE) == 0


def test_where_no_file_can_be_kept_there_is_no_rate(tmp_path: Path) -> None:
    path = pace.place(tmp_path / "missing", "x")
    assert pace.take(path, RATE) == 0
    path = pace.place(tmp_path, "y")
    path.mkdir()
    assert pace.take(path, RATE) == 0


def test_a_removed_file_is_nobodys_lock(tmp_path: Path) -> None:
    path = pace.place(tmp_path, "x")
    with pace.hold(path, RATE) as bucket:
        assert bucket
        path.unlink()
        bucket.take(50)
        assert can_hold(path)
        assert pace.take(path, RATE) == 0


def test_buckets_go_when_they_say_nothing(tmp_path: Path) -> None:
    path = pace.place(tmp_path, "x")
    slow = pace.Rate(per_second=0.01, burst=3)
    pace.take(path, slow)
    pace.drop_full(path, slow)
    assert path.exists()
    path.unlink()
    pace.take(path, RATE)

    def gone() -> bool:
        pace.drop_full(path, RATE)
        return not path.exists()

    until(gone)
    pace.take(path, RATE)
    (tmp_path / "job").mkdir()
    (tmp_path / "of others").write_text("")
    pace.forget(tmp_path)
    assert path.exists()
    (tmp_path / "job").rmdir()
    pace.forget(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["of others"]
    pace.forget(tmp_path / "missing")
