"""How the tools are found, built and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fargate_driver.commands import application
from fargate_driver.helper import ToolsError, digest, source_directory, tools_directory
from front_calls import flags
from helper.tools_container import tools

ROOT = Path(__file__).parents[2]


def test_the_tools_are_static_and_kept() -> None:
    assert tools_directory() == tools()
    assert sorted(path.name for path in tools().iterdir()) == [
        *("busybox", "init", "inject", "sh", "sshd")
    ]
    for path in tools().iterdir():
        headers = subprocess.check_output(["readelf", "-l", path], text=True)
        assert "INTERP" not in headers
        assert os.access(path, os.X_OK)
    assert tools().stat().st_mode & 0o7777 == 0o755


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a build that takes no time; its cache is empty."""
    directory = tmp_path / "sources"
    directory.mkdir()
    (directory / "build").write_text('echo once >>"$(dirname "$0")/../log"; : >"$1/init"\n')
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("fargate_driver.helper.sources._PACKAGED", directory)
    return directory


def test_one_build_serves_all_who_ask(sources: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        places = set(pool.map(lambda _n: tools_directory(), range(8)))
    assert len(places) == 1
    assert (sources.parent / "log").read_text() == "once\n"
    # Nobody wonders why the first job is silent.
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("fargate: building the tools for job containers")
    (sources / "init.c").write_text("another version")
    assert tools_directory() not in places
    left = {path.name.partition("-")[0] for path in places.pop().parent.iterdir()}
    assert left == {"tools", "tools.lock"}


def test_a_failed_build_says_why_and_leaves_nothing(sources: Path) -> None:
    (sources / "build").write_text("echo noise >&2; echo musl-gcc is missing >&2; exit 1\n")
    with pytest.raises(ToolsError, match=r"can't be built: musl-gcc is missing$"):
        tools_directory()
    cache = sources.parent / "cache" / "gitlab-fargate-driver"
    assert [path.name for path in cache.iterdir()] == ["tools.lock"]


def test_a_cache_that_can_not_be_written_is_named(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(sources / "build"))
    with pytest.raises(ToolsError, match="sources/build/gitlab-fargate-driver can't hold"):
        tools_directory()


def test_the_build_names_what_is_missing(tmp_path: Path) -> None:
    for name in ("dirname", "mkdir"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    done = subprocess.run(
        ["/bin/sh", source_directory() / "build", tmp_path / "out"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("musl-gcc is missing: install musl-tools\n")


STANDIN = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
case "$*" in
  *imagetools*arm64*) [ -z "$FAIL" ] || { echo no such image >&2; exit 1; }; echo pinned-arm ;;
  *imagetools*) echo pinned-amd ;;
  *"describe-images"*) [ -e "$PUSHED" ] ;;
  *"describe-repositories"*) [ -e "$CREATED" ] ;;
  *"create-repository"*) : >"$CREATED" ;;
  *get-login-password*) echo secret ;;
  *login*) [ "$(cat)" = secret ] ;;
  *"buildx inspect"*) false ;;
  *"buildx build"*) : >"$PUSHED" ;;
esac
"""


def test_the_printed_commands_are_a_script(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["helper-image", "--region", "eu-central-1", "--account", "123456789012"]
    assert application(flags(), words) == 0
    printed = capfd.readouterr().out.replace("RUNNER_VERSION", "18.4.0")
    assert application(flags(), [*words, "--runner-version", "18.4.0"]) == 0
    assert capfd.readouterr().out == printed
    for name in ("docker", "aws"):
        (tmp_path / name).write_text(STANDIN)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(fail: str = "") -> tuple[subprocess.CompletedProcess[str], str]:
        calls.write_text("")
        files = {"CALLS": calls, "PUSHED": tmp_path / "pushed", "CREATED": tmp_path / "created"}
        done = subprocess.run(
            ["sh", "-c", printed],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAIL": fail}
            | {name: str(path) for name, path in files.items()},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, calls.read_text()

    # A helper image that can't be found is the end of it.
    done, called = run("yes")
    assert (done.returncode, done.stderr) == (1, "no such image\n")
    assert "buildx build" not in called
    done, called = run()
    assert done.returncode == 0, done.stderr
    registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    tag = f"{digest(source_directory(), without=('README.md',))[:12]}-18.4.0"
    assert f"--tag {registry}/fargate-helper:{tag} {ROOT}/images/helper\n" in called
    # Docker's own builder makes one architecture only.
    assert "buildx create --name fargate-helper --driver docker-container\n" in called
    assert "--builder fargate-helper --platform linux/amd64,linux/arm64 --push" in called
    assert "HELPER_AMD64=pinned-amd --build-arg HELPER_ARM64=pinned-arm" in called
    assert f'HelperImage = "{registry}/fargate-helper:{tag}"\n' in done.stdout
    # Again: nothing is made or pushed a second time.
    again, called = run()
    assert again.returncode == 0, again.stderr
    assert "is there already" in again.stdout
    assert "build" not in called.replace("fargate-helper", "")
    assert "create-repository" not in called


def test_missing_sources_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("fargate_driver.helper.sources._PACKAGED", tmp_path)
    monkeypatch.setattr("fargate_driver.helper.sources._CHECKOUT", tmp_path)
    assert application(flags(), ["helper-image"]) == 2
    assert "sources of the tools image are missing" in capfd.readouterr().err
