"""What `fargate init` says to do next: each command exists and takes these words."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import click
import pytest
from botocore import xform_name

from fargate_driver.commands import Application
from fargate_driver.setup import next_steps
from init_calls import THERE, made, plan

if TYPE_CHECKING:
    from fargate_driver.setup.plan import Plan

PLANS = {
    "ec2": made("ec2"),
    "fargate": made("fargate", images="no"),
    "none": made("none", infrastructure="terraform"),
    "there": plan(THERE),
    "elsewhere": made("ec2", helper_image="registry.example.com/tools:1"),
}
DEPLOY = {"region", "stack-name", "capabilities", "template-file"}
"""`aws cloudformation deploy` is the CLI's own: `aws cloudformation deploy help`."""


def commands(lines: list[str]) -> list[str]:
    """The commands among the steps, each on one line."""
    text = "\n".join(line[5:] for line in lines if line.startswith("     "))
    joined = re.sub(r"(\\|(?<=\|)|(?<= -))\n  ", " ", text)
    return [part for line in joined.splitlines() for part in line.split("|")]


def check_aws(words: list[str]) -> None:
    service, operation, *rest = words
    options = {word[2:] for word in rest if word.startswith("--")} - {"region", "query"}
    if (service, operation) == ("cloudformation", "deploy"):
        assert options <= DEPLOY
        return
    if (service, operation) == ("ecr", "get-login-password"):
        assert not options
        return
    model = botocore.session.get_session().get_service_model(service)
    named = {xform_name(name, "-"): name for name in model.operation_names}
    members = model.operation_model(named[operation]).input_shape.members
    assert options <= {xform_name(name, "-") for name in members}


@pytest.mark.parametrize("chosen", PLANS.values(), ids=PLANS.keys())
def test_every_command_exists(chosen: Plan) -> None:
    lines = next_steps.of(chosen, Path("a b"))
    found = commands(lines)
    assert found
    for command in found:
        program, *words = shlex.split(command)
        if program == "aws":
            check_aws(words)
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
