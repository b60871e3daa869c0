"""The help texts of all commands, and the examples in them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from fargate_driver.commands import COMMANDS, root

if TYPE_CHECKING:
    from collections.abc import Iterator


def helps() -> dict[str, str]:
    """Every command's help at 80 columns, by its whole name."""
    return dict(_helps(root(), None))


def _helps(command: click.Command, above: click.Context | None) -> Iterator[tuple[str, str]]:
    context = click.Context(command, above, command.name, terminal_width=80)
    context.help_option_names = ["--help", "-h"]
    yield context.command_path, context.get_help()
    if isinstance(command, click.Group):
        names = ["custom", *COMMANDS] if above is None else sorted(command.commands)
        for name in names:
            below = command.get_command(context, name)
            assert below
            yield from _helps(below, context)


def examples(text: str) -> list[list[str]]:
    """The words after `fargate` of each example in a help text."""
    shown = text.partition("  Example")[2].partition("\n")[2].partition("\n\n")[0]
    found = []
    for line in shown.replace("\\\n", " ").splitlines():
        part = next(one for one in line.split(" | ") if one.strip().startswith("fargate "))
        found.append(shlex.split(part.partition(" > ")[0])[1:])
    assert found, text
    return found
