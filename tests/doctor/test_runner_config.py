"""gitlab-runner's config.toml: what is wrong is named, and odd contents break nothing."""

from __future__ import annotations

import codecs
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from doctor.patient import toml, wrong
from fargate_driver import settings
from fargate_driver.doctor import runner_config, runner_limits
from fargate_driver.doctor.finding import Finding, Status
from front_calls import MINIMAL, flags

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = Path(sys.executable).with_name("fargate")
ARGS = ("prepare_args", "run_args", "cleanup_args")
SECRET = "glrt-0123456789abcdef"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of the driver's, with folders for jobs."""
    path = tmp_path / "fargate.toml"
    path.write_text(MINIMAL.replace("[TaskM", 'BuildsDir = "/b"\nCacheDir = "/c"\n[TaskM'))
    return path


def _runner(config: Path, **changes: Any) -> dict[str, Any]:
    """A runner that is right but for the changes; None removes a key."""
    custom: dict[str, Any] = {"graceful_kill_timeout": 240}
    for stage in ("config", "prepare", "run", "cleanup"):
        custom[f"{stage}_exec"] = str(DRIVER)
        custom[f"{stage}_args"] = ["--config", str(config), "custom", stage]
    custom |= changes.pop("custom", {})
    custom = {key: value for key, value in custom.items() if value is not None}
    right = {"name": "fargate", "executor": "custom", "token": SECRET, "custom": custom}
    return right | changes


def _write(config: Path, *runners: dict[str, Any], top: str = "concurrent = 4") -> Path:
    path = config.with_name("config.toml")
    path.write_text(f"{top}\nrunners = {toml(list(runners))}\n", encoding="utf-8")
    return path


def _look(config: Path, path: Path) -> list[Finding]:
    return list(
        runner_config.look(path, settings.load(flags(config=str(config))).settings, str(config))
    )


def _wrong(config: Path, path: Path) -> dict[str, str]:
    return wrong(_look(config, path))


@pytest.mark.parametrize(
    ("grace", "told"),
    [
        (240, "grace 240 s"),
        (None, "grace 600 s (gitlab-runner calls cleanup after 300 s in any case)"),
        (0, "grace 600 s"),
    ],
)
def test_a_runner_that_is_right(config: Path, grace: int | None, told: str) -> None:
    path = _write(config, _runner(config, custom={"graceful_kill_timeout": grace}))
    found = {one.check: one for one in _look(config, path)}
    limits = found.pop("runner-limits")
    assert limits.status is Status.UNCHECKED
    assert {one.status for one in found.values()} == {Status.OK}
    assert told in found["runner-timeouts"].found


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({"executor": "shell"}, "runner-config", "no runner has the custom executor"),
        (
            {"custom": {"config_args": 5} | dict.fromkeys(ARGS)},
            "runner-config",
            "no runner calls a driver with",
        ),
        ({"shell": "powershell"}, "runner-shell", "shell = 'powershell'"),
        ({"custom": {"cleanup_exec": None}}, "runner-stages", "cleanup_exec is missing"),
        ({"custom": {"run_exec": "/nowhere"}}, "runner-stages", "/nowhere is no program"),
        ({"custom": {"run_exec": "/bin/echo"}}, "runner-stages", "/bin/echo is not this driver"),
        ({"custom": {"run_args": None}}, "runner-stages", "run_args must end with custom and run"),
        (
            {"custom": {"run_args": ["--config", "fargate.toml", "custom", "run"]}},
            "runner-stages",
            "fargate.toml is relative",
        ),
        (
            {"custom": {"run_args": ["--config", "/other.toml", "custom", "run"]}},
            "runner-stages",
            "run_args name another file: /other.toml",
        ),
        (
            {"custom": {"graceful_kill_timeout": 5}},
            "runner-timeouts",
            "graceful_kill_timeout is 5 s",
        ),
        (
            {"custom": {"prepare_exec_timeout": 600}},
            "runner-timeouts",
            "prepare_exec_timeout is 600 s, StartTimeout 600 s",
        ),
        (
            {"custom": {"cleanup_exec_timeout": 10}},
            "runner-timeouts",
            "cleanup_exec_timeout = 90 or more",
        ),
    ],
)
def test_a_mistake_in_the_runners_configuration(
    config: Path, changes: dict[str, Any], check: str, says: str
) -> None:
    found = _wrong(config, _write(config, _runner(config, **changes)))
    assert list(found) == [check], found
    assert says in found[check]


def test_stages_that_are_mixed_up(config: Path) -> None:
    swapped = ["--config", str(config), "custom", "cleanup"]
    found = _wrong(config, _write(config, _runner(config, custom={"run_args": swapped})))
    assert list(found) == ["runner-stages"]
    assert "run_args call the stage cleanup" in found["runner-stages"]


def test_folders_that_nobody_names(config: Path) -> None:
    config.write_text(MINIMAL)
    found = _wrong(config, _write(config, _runner(config)))
    assert list(found) == ["runner-directories"]
    assert "builds_dir (BuildsDir)" in found["runner-directories"]


def test_of_several_runners_ours_are_looked_at(config: Path) -> None:
    other = _runner(config.with_name("other.toml"), name="other", shell="powershell")
    path = _write(
        config,
        {"name": "docker", "executor": "docker", "shell": "powershell"},
        other,
        _runner(config, name="first"),
        _runner(config, name="second", custom={"cleanup_exec": None}),
    )
    found = _look(config, path)
    assert "first, runner second use this file" in found[0].found
    mistakes = wrong(found)
    assert list(mistakes) == ["runner-stages"]
    assert mistakes["runner-stages"].startswith("runner second: cleanup_exec is missing / ")


def test_a_large_file_with_a_byte_order_mark(config: Path) -> None:
    others = [{"name": f"other {number}", "executor": "docker"} for number in range(300)]
    path = _write(config, *others, _runner(config), top="# ours is the last\n" * 10_000)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    found = _look(config, path)
    assert "runner fargate uses this file" in found[0].found
    assert wrong(found) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"[[runners", "is not valid TOML"),
        (b"runners = 1", "no list"),
        (b"runners = [1]", "no list"),
        (b"\xff", "is not UTF-8"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 10_000, "is not valid TOML"),
        (b"", "no runner has the custom executor"),
    ],
)
def test_a_runners_file_that_is_none(config: Path, content: bytes | None, says: str) -> None:
    path = config.with_name("config.toml")
    if content is not None:
        path.write_bytes(content)
    found = _wrong(config, path)
    assert list(found) == ["runner-config"]
    assert says in found["runner-config"]


def test_a_runners_file_that_never_ends(config: Path) -> None:
    assert "is no file" in _wrong(config, Path("/dev/zero"))["runner-config"]


_ODD = st.recursive(
    st.sampled_from(["", "\0", "custom", "bash", "x" * 300, "/nowhere", "ü", 0, -1, 10**400, True])
    | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
_KEYS = ("name", "executor", "shell", "builds_dir", "cache_dir", "custom")
_CUSTOM = ("config_exec", "run_exec", "config_args", "run_args", "graceful_kill_timeout")


@st.composite
def _documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document with odd values in places that are looked at."""
    custom = draw(st.dictionaries(st.sampled_from(_CUSTOM), _ODD, max_size=3))
    changes = draw(st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=2))
    return {"custom": custom, "changes": changes, "concurrent": draw(_ODD)}


@example({"custom": {"run_args": ["--config", "\0"]}, "changes": {}, "concurrent": float("inf")})
@hypothesis_settings(max_examples=60)
@given(_documents())
def test_odd_values_are_findings_too(config: Path, document: dict[str, Any]) -> None:
    nowhere = {f"{stage}_exec": "/nowhere" for stage in ("config", "prepare", "run", "cleanup")}
    runner = _runner(config, custom=nowhere | document["custom"]) | document["changes"]
    path = _write(config, runner, top=f"concurrent = {toml(document['concurrent'])}")
    found = _look(config, path)
    assert found
    for one in found:
        assert SECRET not in one.found + one.mend
        assert len(one.found) < 2000
        assert bool(one.mend) == (one.status is Status.WRONG)


@contextmanager
def _running(config: Path, files: int) -> Iterator[None]:
    """A process that is called as gitlab-runner is, and may open so many files."""
    program = config.with_name("gitlab-runner")
    shutil.copy(Path("/bin/sh").resolve(), program)
    script = config.with_name("script")
    script.write_text("echo runs\nread line\n")
    with subprocess.Popen(
        [program, str(script), "run", "--config", "config.toml"],
        cwd=config.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"runs\n"
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
        yield
        assert process.stdin
        process.stdin.close()


def test_limits_of_the_gitlab_runner_that_runs(config: Path) -> None:
    path = _write(config, _runner(config), top="concurrent = 100")
    with _running(config, 1024):
        found = _wrong(config, path)
        assert list(found) == ["runner-limits"]
        assert "concurrent = 100, but only 1024 open files" in found["runner-limits"]
        assert "LimitNOFILE=1100" in found["runner-limits"]
        assert _wrong(config, _write(config, _runner(config), top="concurrent = 20")) == {}


@pytest.mark.parametrize(
    ("files", "processes", "memory", "mend"),
    [
        (1024, None, 8000, "LimitNOFILE=1100"),
        (4096, 500, 8000, "TasksMax=850"),
        (4096, 4915, 1921, "concurrent = 27 at most"),
        (4096, 4915, 6300, ""),
        (None, None, 8000, ""),
    ],
)
def test_limits(files: int | None, processes: int | None, memory: int, mend: str) -> None:
    found = runner_limits.judge(100, files, processes, memory)
    assert mend in found.mend
    assert found.status is (Status.WRONG if mend else Status.OK)


def test_the_memory_of_this_host_is_seen() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 100 < runner_limits._memory(Path("/proc/self")) <= 2 * pages // 2**20
