"""The help at every level: complete, and every example in it is a command line that works."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from fargate_driver import cli
from fargate_driver.commands import application
from fargate_driver.flags import GLOBAL_FLAGS, Flags, parse
from front_calls import fargate
from help_texts import examples, helps

if TYPE_CHECKING:
    from pathlib import Path

HELPS = helps()
EXAMPLES = [words for text in HELPS.values() for words in examples(text)]


@pytest.mark.parametrize("name", HELPS)
def test_a_help_is_whole(name: str) -> None:
    text = HELPS[name]
    assert re.search(r"\n  Examples?(:|,)", text), text
    assert "\\b" not in text
    summaries = text.partition("\nCommands:\n")[2].partition("\n\n")[0]
    assert not re.search(r"\.\.\.$", summaries, re.MULTILINE), text
    prose = [line for line in text.splitlines() if "fargate " not in line]
    assert max(map(len, prose)) <= 80


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that would be called, with everything before that done for real."""
    found: list[str] = []
    monkeypatch.setattr(click.Command, "invoke", lambda _, context: found.append(context.info_name))

    def note(_flags: Flags, stage: str, _arguments: list[str]) -> int:
        found.append(stage)
        return 0

    monkeypatch.setattr(cli, "_run_stage", note)
    return found


@pytest.mark.parametrize("words", EXAMPLES, ids=shlex.join)
def test_an_example_calls_its_command(words: list[str], called: list[str]) -> None:
    assert cli.main(words) == 0
    assert called


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["jobs", "--config", "f", "--debug"], {"config": "f", "debug": True}),
        (["--config", "a", "jobs", "--config=b"], {"config": "b"}),
        (["--config", "a", "--debug", "jobs"], {"config": "a", "debug": True}),
        (["prices", "--config=f", "list"], {"config": "f"}),
        (["prices", "list", "--config=f"], {"config": "f"}),
        (["local", "image", "list", "--log-level=debug"], {"log_level": "debug"}),
        (["shell", "--config=f", "1", "--", "x", "--config=g"], {"config": "f"}),
        (["try", "--config", "f", "--", "x", "--debug"], {"config": "f"}),
        (["try", "x", "--debug"], {}),
    ],
)
def test_global_flags_before_or_after_the_command(
    words: list[str], values: dict[str, object], called: list[str]
) -> None:
    flags, rest = parse(words)
    assert application(flags, rest) == 0
    assert called
    given = {n: getattr(flags, n) for n in Flags.__slots__ if getattr(flags, n)}
    assert given == values


def test_every_command_takes_every_global_flag(called: list[str]) -> None:
    for name in HELPS:
        if name.split()[1:2] in ([], ["custom"]):
            continue
        for flag, metavar, _ in GLOBAL_FLAGS:
            flags = Flags()
            words = [*name.split()[1:], f"--{flag}", *(["x"] if metavar else [])]
            application(flags, words)
            assert getattr(flags, flag.replace("-", "_")), words
    assert called


def test_the_examples_of_local_images(tmp_path: Path) -> None:
    """For real, with the folder that they name and an archive on stdin."""
    (tmp_path / "debootstrap-folder" / "bin").mkdir(parents=True)
    env = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    texts = {name: HELPS[f"fargate local image {name}"] for name in ("import", "list")}
    ran = []
    for words in (*examples(texts["import"]), *examples(texts["list"])):
        if "/dev/stdin" in words:
            continue  # what `docker save` writes; see tests/local_images
        done = fargate(*words, cwd=tmp_path, env=env)
        assert (done.returncode, done.stderr) == (0, ""), shlex.join(words)
        ran.append(done.stdout)
    assert "debian" in ran[0]
    assert "debian" in ran[1]
