"""The metrics: exact counts whatever runs at the same time, and nothing lost of what is odd."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fargate_driver import settings
from fargate_driver.errors import DriverError
from fargate_driver.flags import Flags
from fargate_driver.metrics import families, results, textfile
from fargate_driver.metrics.events import Events
from fargate_driver.metrics.render import render
from fargate_driver.metrics.state import State, parse
from monitoring import expressions
from promql import selectors

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = Path(__file__).with_name("count_jobs.py")


def samples(text_file: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels, read as Prometheus does."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text_file.read_text())
        for sample in family.samples
    }


def value(text_file: Path, name: str, **labels: str) -> float:
    return samples(text_file)[name, frozenset(labels.items())]


def test_counts_of_200_processes_at_once_add_up_exactly(tmp_path: Path) -> None:
    text_file, records = tmp_path / "fargate.prom", tmp_path / "records"
    numbers = range(1, 201)
    command = [sys.executable, str(PROGRAM), str(text_file), str(records), "200"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert (done.stderr, done.returncode) == (b"", 0)
    assert value(text_file, families.STARTS, result="started", verdict="") == 200
    assert value(text_file, families.JOBS, outcome="success", verdict="") == 150
    assert value(text_file, families.JOBS, outcome="script_failure", verdict="") == 50
    calls = value(text_file, families.AWS_CALLS, operation="DescribeTasks", outcome="ok")
    assert calls == sum(numbers)
    assert value(text_file, f"{families.PHASE}_count", phase="network") == 200
    assert value(text_file, f"{families.PHASE}_sum", phase="network") == sum(numbers)
    # Upper bounds are inclusive, and each bucket holds those below it.
    assert value(text_file, f"{families.PHASE}_bucket", phase="network", le="60") == 60
    assert value(text_file, f"{families.PHASE}_bucket", phase="network", le="+Inf") == 200
    assert value(text_file, families.REAPED) == 0


def test_others_may_read_the_file_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    text_file = tmp_path / "fargate.prom"
    textfile.save(text_file, Events(), str(tmp_path / "records"))
    assert stat.S_IMODE(text_file.stat().st_mode) == 0o644
    assert {path.name for path in tmp_path.iterdir()} == {
        "fargate.prom",
        "fargate.prom.lock",
        "fargate.prom.state",
    }


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"version": 2}', "\0", "[" * 100000])
def test_a_damaged_state_is_counted_anew_and_told(tmp_path: Path, damage: str) -> None:
    text_file = tmp_path / "fargate.prom"
    text_file.with_name("fargate.prom.state").write_text(damage)
    events = Events()
    events.count(families.REAPED)
    assert "counting anew" in textfile.save(text_file, events, str(tmp_path))
    assert value(text_file, families.REAPED) == 1
    assert textfile.save(text_file, Events(), str(tmp_path)) == ""


def test_a_folder_that_is_missing_is_told_and_no_failure(tmp_path: Path) -> None:
    text_file = tmp_path / "none" / "fargate.prom"
    problem = textfile.save(text_file, Events(), str(tmp_path))
    assert problem == f"[Metrics] TextFile {text_file}: can't be updated: No such file or directory"


def test_tasks_alive_are_the_records_of_all_directories(tmp_path: Path) -> None:
    text_file = tmp_path / "fargate.prom"
    for runner, n in (("a", 2), ("b", 1)):
        for job in range(n):
            directory = tmp_path / runner / f"{job}-{'0' * 20}"
            directory.mkdir(parents=True)
            (directory / "record.json").touch()
        textfile.save(text_file, Events(), str(tmp_path / runner))
    assert value(text_file, families.ALIVE) == 3


_AMOUNTS = st.dictionaries(
    st.tuples(st.text(), st.text()), st.integers(min_value=0, max_value=2**40), max_size=5
)


@given(_AMOUNTS, st.lists(st.floats(min_value=0, max_value=1e6), max_size=20))
def test_what_is_kept_is_what_was_counted(
    counts: Mapping[tuple[str, str], int], seconds: list[float]
) -> None:
    events = Events()
    for (operation, outcome), n in counts.items():
        events.count(families.AWS_CALLS, operation, outcome, by=n)
    for one in seconds:
        events.observe(families.STAGE, one, "build_script")
    state = State()
    state.add(events)
    again = parse(state.dump())
    assert (again.counters, again.histograms) == (state.counters, state.histograms)
    assert {labels: n for (_, labels), n in again.counters.items()} == dict(counts)


@given(st.text())
def test_labels_of_any_text_reach_prometheus(text: str) -> None:
    state = State()
    events = Events()
    printable = text.encode("utf-8", "replace").decode()
    events.count(families.STARTS, "failed", printable)
    state.add(events)
    found = {
        sample.labels["verdict"]
        for family in text_string_to_metric_families(render(state).decode())
        for sample in family.samples
        if sample.name == families.STARTS
    }
    assert found == {printable}


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            st.floats(min_value=0, max_value=1e6),
        )
    )
)
def test_stages_of_any_name_are_one_line_each(stages: list[tuple[str, float]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        results.begin(directory, "/x/fargate.prom")
        for stage, seconds in stages:
            results.note_stage(directory, stage, seconds, "0")
        results.note_verdict(directory, "spot-interruption")
        results.note_calls(directory, Counter({("DescribeTasks", "ok"): 3}))
        found = results.load(directory)
    assert found is not None
    assert [round(s, 3) for _, s, _ in found.stages] == [round(s, 3) for _, s in stages]
    assert (found.text_file, found.verdict) == ("/x/fargate.prom", "spot-interruption")
    assert (found.calls, found.settled) == ([("DescribeTasks", "ok", 3)], False)


def test_without_metrics_a_stage_leaves_nothing(tmp_path: Path) -> None:
    results.note_stage(str(tmp_path), "build_script", 1.0, "0")
    assert results.load(str(tmp_path)) is None
    assert not list(tmp_path.iterdir())


def test_every_metric_is_looked_at() -> None:
    used = {one.metric for text in expressions() for one in selectors(text)}
    named = {re.sub(r"_(bucket|sum|count)$", "", word) for word in used}
    # That it exists is seen in what real jobs left, in tests/e2e.
    assert named >= {families.ALIVE, *families.FAMILIES}


def test_the_documented_configuration_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring" / "README.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    config = tmp_path / "fargate.toml"
    config.write_text(
        '[Fargate]\nCluster = "ci"\nRegion = "us-east-1"\nSubnet = "subnet-0abc"\n'
        'SecurityGroup = "sg-0abc"\n[TaskMetadata]\nDirectory = "records"\n'
        f'[SSH]\nUsername = "root"\n{block}'
    )
    flags = Flags()
    flags.config = str(config)
    loaded = settings.load(flags)
    assert loaded.settings.metrics.text_file == Path("/var/lib/node_exporter/textfile/fargate.prom")
    assert loaded.settings.costs.price_file == tmp_path / "fargate-prices.json"
    assert not loaded.warnings


def test_a_textfile_that_node_exporter_would_not_read_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text('[Metrics]\nTextFile = "fargate.txt"\n')
    flags = Flags()
    flags.config = str(config)
    with pytest.raises(DriverError, match=r"\[Metrics\] TextFile: .*ends with \.prom"):
        settings.load(flags)


def test_every_metric_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring" / "README.md").read_text()
    rows = set(re.findall(r"^\| `(fargate_[a-z_]+)`", page, re.MULTILINE))
    assert rows == {families.ALIVE, *families.FAMILIES}
