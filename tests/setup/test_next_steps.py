"""What `fargate init` says to do next: each command exists and takes these words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import aws_words
from fargate_driver.commands import Application
from fargate_driver.setup import next_steps
from init_calls import THERE, made, plan
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
