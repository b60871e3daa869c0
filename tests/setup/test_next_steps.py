"""What `fargate init` says to do next: each command exists and takes these words."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import aws_words
from fargate_driver.commands import Application, application
from fargate_driver.setup import next_steps
from front_calls import flags
from init_calls import THERE, made, plan
from pages import ROOT, RUN, blocks
from shell_words import commands

if TYPE_CHECKING:
    from fargate_driver.setup.plan import Plan

PLANS = {
    "ec2": made("ec2"),
    "fargate": made("fargate", images="no"),
    "none": made("none", infrastructure="terraform"),
    "there": plan(THERE),
    "elsewhere": made("ec2", helper_image="registry.example.com/tools:1"),
}


def script(lines: list[str]) -> str:
    """The commands among the steps."""
    return "\n".join(line[5:] for line in lines if line.startswith("     "))


@pytest.mark.parametrize("chosen", PLANS.values(), ids=PLANS.keys())
def test_every_command_exists(chosen: Plan) -> None:
    lines = next_steps.of(chosen, Path("a b"))
    found = list(commands(script(lines)))
    assert found
    for program, *words in found:
        if program == "aws":
            assert aws_words.problems([program, *words]) == []
        elif program == "fargate":
            group = Application("fargate")
            with click.Context(group) as parent:
                _, called, rest = group.resolve_command(parent, words)
                assert called is not None
                called.make_context(words[0], rest, parent=parent)
        elif program == "terraform":
            assert words[0] == "-chdir=a b"
            assert words[1] in ("init", "apply")
        else:
            assert program == "docker"
            assert words[0] in ("build", "push", "login")
    numbers = [line.partition(".")[0] for line in lines if not line.startswith(" ")]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert "None" not in "\n".join(lines)


def pushed(words: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """The image that the commands of `fargate helper-image` push."""
    capfd.readouterr()
    assert application(flags(), words) == 0
    text = capfd.readouterr().out
    names = re.findall(r"(?m)^(?:runner|registry|tag)=.*$", text)
    (named,) = set(re.findall(r'--tag ("\S+")', text))
    script = "\n".join([*names, f"echo {named}"])
    return subprocess.check_output(["sh", "-euc", script], text=True).strip()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"runner_version": "18.4.0", "cluster": "other"},
        {"helper_image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/own/tools:7"},
    ],
    ids=["usual", "version", "own"],
)
def test_the_tools_image_is_where_jobs_look_for_it(
    more: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = made("ec2", **more)
    steps = commands(script(next_steps.of(chosen, Path("out"))))
    (words,) = [words for program, *words in steps if program == "fargate"]
    assert pushed(words, capfd) == chosen.helper_image


def test_the_tools_image_of_the_page_is_that_of_its_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "first-job-on-aws.md"
    text = "".join(block.text for block in blocks(page) if block.note == RUN)
    init, helper_image = [words for program, *words in commands(text) if program == "fargate"]
    monkeypatch.chdir(tmp_path)
    assert application(flags(), init) == 0
    found = tomllib.loads((tmp_path / "fargate" / "fargate.toml").read_text())
    assert pushed(helper_image, capfd) == found["Images"]["HelperImage"]
