from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver import __version__
from fargate_driver.cli import main
from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.stages import config
from front_calls import MINIMAL, RECORDED, call_environment, fargate, flags
from job_response import job_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fargate_driver.flags import Flags

CHOICE = {"FARGATE_TASK_DEFINITION": "fat"}
# A stage as colleagues write it, in a process of its own.
STAND_IN = """\
import sys, types
stage = types.ModuleType("fargate_driver.stages.run")
def run(flags, script, name):
    {body}
    return 0
stage.main = run
sys.modules["fargate_driver.stages.run"] = stage
from fargate_driver.cli import main
sys.exit(main(["--config", "f", "c", "r", "SCRIPT", "STAGE"]))
"""


def process(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STAND_IN.format(body=body)],
        env=call_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_stage_gets_its_arguments_and_ignores_what_stops_the_runner() -> None:
    done = process(
        "import os, signal; [os.kill(os.getpid(), n) for n in (signal.SIGQUIT, signal.SIGHUP)];"
        "print(flags.config, script, name)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "f SCRIPT STAGE\n", "")


def test_an_interrupt_is_never_a_success() -> None:
    # A test run in a shell's background has it ignored.
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    done = process(f"import os, signal; {heard}; os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stderr) == (2, "fargate: interrupted\n")


# What happens while the secrets are learned that a failure's text may hold, and what is said.
WHILE_TELLING = {
    "[0] * (1 << 62)": "ValueError; its text is not shown, since the job's secrets",
    "sys.exit(1)": "the stage failed, and why can't be told",
    "os.kill(os.getpid(), signal.SIGTERM)": "internal error: ValueError: hunter2",
    "os.kill(os.getpid(), signal.SIGINT)": "internal error: ValueError: hunter2",
}


@pytest.mark.parametrize("event", WHILE_TELLING)
def test_a_failure_that_cannot_be_told_is_no_build_failure(event: str) -> None:
    done = process(
        "import os, signal; from fargate_driver.gitlab import variables;"
        "from fargate_driver.stages.cancel import raise_on_sigterm; raise_on_sigterm();"
        f"variables.hide_secrets = lambda env: {event};"
        "raise ValueError('hunter2')"
    )
    said = WHILE_TELLING[event]
    assert done.returncode == 2
    assert done.stderr.startswith(f"fargate: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert ("hunter2" in done.stderr) == ("hunter2" in said)


# What is there of the driver's command line, and what its end says.
BROKEN = {
    None: "ModuleNotFoundError: No module named 'fargate_driver.cli'",
    "from no_such import main": "ModuleNotFoundError: No module named 'no_such'",
    "raise MemoryError": "MemoryError: ",
    "def main(): raise OSError(24, 'Too many files')": "OSError: [Errno 24] Too many files",
    "def main(": "SyntaxError: ",
}


@pytest.mark.parametrize("code", ["12", "0", "256", "x", None])
@pytest.mark.parametrize("cli", BROKEN)
def test_a_driver_that_cannot_start_is_a_system_failure(
    tmp_path: Path, cli: str | None, code: str | None
) -> None:
    package = tmp_path / "fargate_driver"
    package.mkdir()
    (package / "__init__.py").touch()
    if cli:
        (package / "cli.py").write_text(cli)
    env = {"PYTHONPATH": str(tmp_path)} | ({"SYSTEM_FAILURE_EXIT_CODE": code} if code else {})
    done = script(tmp_path, env)
    assert done.returncode == (12 if code == "12" else 2)
    first, second = done.stderr.splitlines()
    assert first == "fargate: the driver can't start; is it whole, and is there memory?"
    assert second.startswith(f"fargate: {BROKEN[cli]}")


def script(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run what is installed as `fargate`."""
    program = Path(__file__).parents[2] / "src" / "bin" / "fargate"
    return subprocess.run(
        [sys.executable, program, "custom", "cleanup"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BaseException], None]]:
    """Make the stage prepare raise something."""
    saved = {number: signal.getsignal(number) for number in (signal.SIGQUIT, signal.SIGHUP)}
    for name, value in {"BUILD_FAILURE_EXIT_CODE": "11", "SYSTEM_FAILURE_EXIT_CODE": "12"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BUILD_EXIT_CODE_FILE", raising=False)

    def prepare(error: BaseException) -> None:
        def fail(_flags: Flags) -> int:
            raise error

        module = ModuleType("fargate_driver.stages.prepare")
        module.main = fail  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    yield prepare
    for number, handler in saved.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DriverError("no capacity"), 12, "no capacity"),
        (JobConfigurationError("bad value"), 11, "bad value"),
        (
            ZeroDivisionError("a\nb"),
            12,
            (
                "internal error: ZeroDivisionError: a b (please report this; "
                "--debug shows the traceback)"
            ),
        ),
    ],
)
def test_what_a_stage_raises(
    stage: Callable[[BaseException], None],
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    line: str,
) -> None:
    stage(error)
    assert main(["custom", "prepare"]) == code
    assert capfd.readouterr().err == f"fargate: {line}\n"
    assert main(["--debug", "custom", "p"]) == code
    assert "Traceback" in capfd.readouterr().err


def test_without_usable_exit_codes_it_is_a_system_failure(
    stage: Callable[[BaseException], None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage(JobConfigurationError("bad value"))
    monkeypatch.setenv("BUILD_FAILURE_EXIT_CODE", "x")
    monkeypatch.delenv("SYSTEM_FAILURE_EXIT_CODE")
    assert main(["custom", "prepare"]) == 2
    assert [line[:35] for line in capfd.readouterr().err.splitlines()] == [
        "fargate: bad value",
        "fargate: BUILD_FAILURE_EXIT_CODE: '",
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("custom", "the stage is missing: fargate custom config | prepare | run | cleanup"),
        ("c x", "unknown stage 'x': fargate custom config | prepare | run | cleanup"),
        (
            "custom --config f run a b",
            (
                "unknown stage '--config' (global flags come before custom): "
                "fargate custom config | prepare | run | cleanup"
            ),
        ),
        ("custom run a", "missing arguments for run: fargate custom run SCRIPT STAGE"),
        ("custom r a b c", "unexpected arguments for run: fargate custom run SCRIPT STAGE"),
        ("c cl x", "unexpected arguments for cleanup: fargate custom cleanup"),
        ("--x custom run a b", "unknown flag '--x'; see fargate --help"),
    ],
)
def test_a_wrong_call_is_a_system_failure(tmp_path: Path, words: str, line: str) -> None:
    env = call_environment() | {"SYSTEM_FAILURE_EXIT_CODE": "12"}
    done = fargate(*words.split(), cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (12, "", f"fargate: {line}\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--x", "unknown flag '--x'; see fargate --help"),
        ("x", "No such command 'x'; see fargate --help"),
        ("custom run", "missing arguments for run: fargate custom run SCRIPT STAGE"),
    ],
)
def test_a_wrong_command_line_is_2(tmp_path: Path, words: str, line: str) -> None:
    done = fargate(*words.split(), cwd=tmp_path, env={})
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fargate: {line}\n")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "--task-def TASKDEF"),
        ("--help", "fargate try -- echo hello"),
        ("-h", "Global flags, before the command or after it (of custom: before):"),
        ("help", "Commands:"),
        ("custom --help", "run      Run one script of the job in its task. Alias: r."),
        ("c help", "Usage: fargate custom"),
        ("--debug custom run --help", "Usage: fargate custom run [OPTIONS] SCRIPT STAGE"),
        ("c r -h", "Usage: fargate custom run [OPTIONS] SCRIPT STAGE"),
        ("--version", f"fargate {__version__}\n"),
    ],
)
def test_help_at_every_level(tmp_path: Path, words: str, part: str) -> None:
    done = fargate(*words.split(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert part in done.stdout


def test_config_answers_with_json_only(tmp_path: Path) -> None:
    text = MINIMAL.replace("Cluster", 'BuildsDir = "/b"\nCacheDir = "/c"\nClustr = 1\nCluster')
    (tmp_path / "f.toml").write_text(text)
    done = fargate("--config", "f.toml", "custom", "config", cwd=tmp_path)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer.pop("hostname")
    assert answer == {
        "driver": {"name": "fargate", "version": __version__},
        "builds_dir": "/b",
        "cache_dir": "/c",
    }
    assert done.stderr == (
        "fargate: warning: f.toml: [Fargate] Clustr: unknown, ignored: did you mean Cluster?\n"
    )


@pytest.mark.parametrize(
    ("images", "job", "folders"),
    [
        ("", {"image": "a"}, (None, "/c")),
        ("Enabled = true", {"image": "a"}, ("/builds", "/c")),
        ("Enabled = true", {"image": None}, (None, "/c")),
        ("Enabled = true", {"image": "a", "expanded": CHOICE}, (None, "/c")),
        ('Enabled = true\nDefaultImage = "b"', {"image": None}, ("/builds", "/c")),
    ],
)
def test_config_names_folders_for_jobs_in_images_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    images: str,
    job: dict[str, Any],
    folders: tuple[str | None, str | None],
) -> None:
    text = MINIMAL.replace("[TaskM", 'CacheDir = "/c/"\n[TaskM')
    (tmp_path / "f.toml").write_text(f'{text}[Images]\nHelperImage = "h"\n{images}\n')
    env = job_environment(tmp_path, **job)
    monkeypatch.setattr(RunnerEnvironment, "from_environ", lambda _: env)
    given = {"config": str(tmp_path / "f.toml")}
    # With the flag the job can't choose one.
    for more in ({}, {"task_def": "fat"} if "expanded" in job else {}):
        assert config.main(flags(**given, **more)) == 0
        answer = json.loads(capfd.readouterr().out)
        found = answer.get("builds_dir"), answer.get("cache_dir")
        assert found == (("/builds", "/c") if more else folders)


def test_config_for_the_recorded_jobs(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text('LogFile = "f.log"\nLogFormat = "json"\nX = 1\n' + MINIMAL)
    for folder in sorted(RECORDED.glob("*/01-config")):
        call = json.loads((folder / "call.json").read_text())
        env = {name: text.replace("{TMPDIR}", str(tmp_path)) for name, text in call["env"].items()}
        response = (folder / "job_response.json").read_text()
        (tmp_path / "response.json").write_text(response)
        done = fargate("--config", "f.toml", "custom", "config", cwd=tmp_path, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert set(json.loads(done.stdout)) == {"driver", "hostname"}
        line = json.loads((tmp_path / "f.log").read_text().splitlines()[-1])
        assert line["job"] == json.loads(response)["id"]
        assert line["msg"] == "f.toml: X: unknown, ignored"


def test_config_with_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(MINIMAL.replace('"ci"', "1") + "Port = 'x'\n")
    done = fargate("custom", "config", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "fargate: config.toml: [Fargate] Cluster: is a whole number (1); "
        "allowed: a cluster's name or ARN\n"
        "fargate: config.toml: [SSH] Port: is a string ('x'); "
        "allowed: a whole number from 1 to 65535\n"
    )


def test_config_does_not_look_at_the_jobs_choice(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(MINIMAL)
    env = call_environment(CUSTOM_ENV_FARGATE_TASK_DEFINITION="not / valid")
    done = fargate("--config", "f.toml", "custom", "config", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
