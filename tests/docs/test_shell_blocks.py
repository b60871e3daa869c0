"""Every command that the documentation shows is one, and what can run here runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import aws_words
import no_aws
from fargate_driver import cli
from fargate_driver.commands import COMMANDS, Application
from fargate_driver.flags import UsageError, parse
from pages import ROOT, RUN, Block, blocks, pages, prose
from shell_words import commands

if TYPE_CHECKING:
    from collections.abc import Callable

SHELL = [
    block
    for page in pages()
    for block in blocks(page)
    if block.language in ("sh", "console", "bash")
]
# Programs of others, which nothing here looks into. Whoever adds one has tried the line by hand.
FOREIGN = {
    *("bash", "busybox", "cat", "cd", "chmod", "cp", "curl", "echo", "git", "install", "kill"),
    *("ln", "ls", "mkdir", "mv", "printf", "python3", "read", "rm", "sed", "sh", "source", "test"),
    *("tr", "docker", "podman", "buildah", "terraform", "systemctl", "gitlab-runner", "openssl"),
    *("apt-get", "update-ca-certificates", "pipx", "uv"),
}
_INLINE = re.compile(r"`(?:\S+/)?fargate ([^`]+)`")


@pytest.fixture
def understood(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], int]:
    """The real command line, up to where the command would begin its work."""

    def begins(_command: click.Command, context: click.Context) -> int:
        assert context.command
        return 0

    monkeypatch.setattr(click.Command, "invoke", begins)
    monkeypatch.setattr(cli, "_run_stage", lambda *_: 0)
    return cli.main


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_are_understood(
    block: Block, understood: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    syntax = ["bash", "-n", "-c", block.text]
    done = subprocess.run(syntax, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = list(commands(block.text))
    assert found
    for words in found:
        program = Path(words[0]).name
        if program == "fargate" or words[0] == "scripts/try":
            arguments = ["try", *words[1:]] if program == "try" else words[1:]
            assert understood(arguments) == 0, (words, capsys.readouterr())
        elif program == "aws":
            assert aws_words.problems(words) == []
        elif words[0].startswith(("scripts/", "images/", "./images/")):
            assert os.access(ROOT / words[0], os.X_OK), words
        elif program in ("pip", "pipx", "uv"):
            # The package is not on PyPI: a bare name would install somebody else's.
            assert not {"gitlab-fargate-driver", "gitlab-fargate-driver[local]"} & set(words), words
        else:
            assert program in FOREIGN, words


def _unknown(text: str) -> str:
    """What of `fargate TEXT` in a sentence doesn't exist; empty where all does."""
    words = [word for word in text.split() if word not in ("…", "STAGE")]
    try:
        _, words = parse(words)
    except UsageError as error:
        return str(error)
    command: click.Command = Application("fargate")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            return name
        command = found
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    own = words[: words.index("--")] if "--" in words else words
    return " ".join(word for word in own if word.startswith("--") and word not in options)


def test_a_wrong_command_is_noticed(understood: Callable[[list[str]], int]) -> None:
    assert understood(["jobs", "--nonsense"]) != 0
    assert understood(["nonsense"]) != 0
    assert understood(["custom", "run", "only-one"]) != 0
    assert aws_words.problems(["aws", "ecs", "run-tasks"])
    assert aws_words.problems(["aws", "ecs", "run-task", "--clusters", "a"])
    assert _unknown("jobs --nonsense") == "--nonsense"
    assert _unknown("--config F nonsense") == "nonsense"
    assert not _unknown("--config F local image import NAME PATH --dir D")


def test_commands_in_the_text_exist() -> None:
    wrong = [
        f"{page.relative_to(ROOT)}:{number}: fargate {text}: {unknown}"
        for page in pages()
        for number, line in prose(page)
        for text in _INLINE.findall(line)
        if (unknown := _unknown(text))
    ]
    assert wrong == []


def test_every_command_has_a_page() -> None:
    text = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md"))
    missing = [
        name for name in COMMANDS if not re.search(rf"\bfargate (--config \S+ )?{name}\b", text)
    ]
    assert missing == []


RUN_PAGES = [page for page in pages() if any(block.note == RUN for block in blocks(page))]
assert RUN_PAGES


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_can_run_here_runs(page: Path, tmp_path: Path) -> None:
    """The marked blocks of a page, one after the other, in an empty home and folder."""
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    script = "".join(block.text for block in blocks(page) if block.note == RUN)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=folder,
        env={
            **no_aws.VARIABLES,
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            # What serves jobs in images takes a minute to build; it is not what this is about.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stdout + done.stderr
