"""`fargate prices`: what tasks cost, as far as that is known."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from fargate_driver import settings
from fargate_driver.commands import printing
from fargate_driver.commands.group import Group
from fargate_driver.costs import prices as price_files

if TYPE_CHECKING:
    from decimal import Decimal

    from fargate_driver.flags import Flags

_WIDE = 72
"""Columns of a terminal that all of a price has room in; a narrower one shows what jobs cost."""


@click.group(
    "prices",
    cls=Group,
    epilog="\b\nExamples:\n  fargate prices list\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml prices update\n"
    "  fargate prices update --file prices.json\n",
)
def prices() -> None:
    """What tasks cost, as far as that is known."""


@prices.command(
    "list",
    epilog="\b\nExamples:\n  fargate prices list\n"
    "  fargate --config /etc/gitlab-runner/fargate.toml prices list\n",
)
@click.pass_obj
def list_(flags: Flags) -> None:
    """Show the prices that jobs are told, in US dollars per hour.

    Storage, and when a price was read, take 72 columns.

    Without a configuration these are the prices that the driver has with it.
    """
    own = None
    with contextlib.suppress(settings.NoConfigurationError):
        own = settings.load(flags).settings.costs.price_file
    known = price_files.known(own)
    console = printing.console()
    wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="dim")
    for title in ("REGION", "ARCH", "VCPU", "GB", *(("STORAGE GB", "READ") if wide else ())):
        # Of words, "Spot" has the second line where there is no room for it.
        table.add_column(title, no_wrap=title != "ARCH", overflow="fold")
    for price in sorted(known.values()):
        kind = f"{price.architecture}{' Spot' if price.spot else ''}"
        amounts = (price.vcpu_hour, price.gb_hour, *((price.storage_gb_hour,) if wide else ()))
        table.add_row(
            price.region, kind, *(_shown(one) for one in amounts), *((price.read,) if wide else ())
        )
    console.print(table)


@prices.command(
    "update",
    epilog="\b\nExamples:\n  fargate --config /etc/gitlab-runner/fargate.toml prices update\n"
    "  fargate prices update --file prices.json\n",
)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this file instead of [Costs] PriceFile.",
)
@click.pass_obj
def update(flags: Flags, path: Path | None) -> None:
    """Fetch AWS's prices of all regions into [Costs] PriceFile, whose rows win.

    Needs credentials with the right pricing:GetProducts. Spot prices are not in AWS's price list:
    rows of your own for Spot are kept.
    """
    # botocore takes its time; the help needs none.
    from fargate_driver.costs import price_list

    target = path or settings.load(flags).settings.costs.price_file
    found = price_list.fetch(datetime.now(tz=UTC).date().isoformat())
    rows = {price.key: price for price in (*price_files.read_own(target), *found)}
    price_files.write(target, rows.values())
    regions = len({price.region for price in found})
    click.echo(f"{target}: prices of {regions} regions, {len(found)} rows")


def _shown(amount: Decimal | None) -> str:
    return "–" if amount is None else f"{amount:f}"  # noqa: RUF001 - a dash for what is unknown
