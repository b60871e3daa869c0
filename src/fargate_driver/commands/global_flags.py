"""The global flags after the command's name, as options of click; before it flags.py reads them.

They are kept out of the commands' help, which names them in one line, and are completed by shells.
"""

from __future__ import annotations

import click
from click.core import ParameterSource

from fargate_driver.flags import GLOBAL_FLAGS, Flags

_HINT = "Global flags, such as --config FILE, may stand here too; fargate --help lists them."


class GlobalFlag(click.Option):
    """A global flag; what is given after the command wins over what is given before it.

    Args:
        name: the flag's, without dashes.
        metavar: what its value is; None for a switch.
        text: its help.
    """

    def __init__(self, name: str, metavar: str | None, text: str) -> None:
        super().__init__(
            [f"--{name}"],
            is_flag=True if metavar is None else None,  # False would make the value optional
            metavar=metavar,
            type=click.Path() if metavar == "FILE" else None,
            expose_value=False,
            callback=_keep,
            help=text,
        )

    def get_help_record(self, ctx: click.Context) -> None:  # noqa: ARG002 - click's signature
        """None: no row of the command's own options."""
        return


def options() -> list[click.Parameter]:
    """One option for each global flag."""
    return [GlobalFlag(name, metavar, text) for name, metavar, text in GLOBAL_FLAGS]


def accept(command: click.Command) -> None:
    """Let a command, and those below it, take the global flags too.

    Args:
        command: as it was imported; it may have been given them before.
    """
    if any(isinstance(one, GlobalFlag) for one in command.params):
        return
    command.params += options()
    command.epilog = f"{command.epilog or ''}\n\n{_HINT}"
    if isinstance(command, click.Group):
        for below in command.commands.values():
            accept(below)


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    name = parameter.name or ""
    flags = context.find_object(Flags)
    if flags and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        setattr(flags, name, value or None)
