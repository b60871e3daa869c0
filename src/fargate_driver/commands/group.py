"""A group of commands, whose list shows each command's summary in full."""

from __future__ import annotations

import click

_LONGER_THAN_ANY = 1000


class Group(click.Group):
    """Click's own group cuts summaries that need more than one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands: names, and the first sentences of their help."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(_LONGER_THAN_ANY)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
