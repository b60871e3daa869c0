"""The prices that are known: the packaged ones, and those of the operator's own file.

Both files are JSON of one form: `{"prices": [ROW, …]}` with a row for each region, architecture and
Spot or not. Prices are strings of US dollars, lest binary fractions creep in; null where unknown.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGED = Path(__file__).with_name("prices.json")
FREE_STORAGE = 20
"""GB of ephemeral storage that every task has without charge
(https://aws.amazon.com/fargate/pricing/)."""
_AMOUNTS = ("vcpu_hour", "gb_hour", "storage_gb_hour")


class PriceFileError(DriverError):
    """A file of prices can't be read, understood or written."""


class Price(NamedTuple):
    """What Linux tasks cost, in US dollars per hour."""

    region: str
    architecture: str
    """X86_64 or ARM64."""
    spot: bool
    vcpu_hour: Decimal
    gb_hour: Decimal
    storage_gb_hour: Decimal | None
    """For each GB beyond FREE_STORAGE; None where unknown."""
    source: str
    read: str
    """The day on which the source was read."""

    @property
    def key(self) -> tuple[str, str, bool]:
        """What it is the price of."""
        return self.region, self.architecture, self.spot

    def hourly(self, cpu: int, memory: int, storage: int) -> Decimal | None:
        """What a task costs in an hour.

        Args:
            cpu: CPU units, 1024 for a vCPU.
            memory: MiB.
            storage: GiB of ephemeral storage.

        Returns:
            US dollars; None where the price of storage is needed and unknown.
        """
        total = self.vcpu_hour * cpu / 1024 + self.gb_hour * memory / 1024
        more = max(storage - FREE_STORAGE, 0)
        if more and self.storage_gb_hour is None:
            return None
        return total + (self.storage_gb_hour or 0) * more


def known(own: Path | None) -> dict[tuple[str, str, bool], Price]:
    """Read all prices.

    Args:
        own: the operator's file, whose rows win; it need not exist, or be known.

    Returns:
        By region, architecture and whether it is Spot.

    Raises:
        PriceFileError: the operator's file is unreadable or damaged.
    """
    rows = [*read(PACKAGED), *(read_own(own) if own else ())]
    return {price.key: price for price in rows}


def read_own(path: Path) -> list[Price]:
    """Read the operator's file, which need not exist.

    Raises:
        PriceFileError: it is unreadable or damaged.
    """
    try:
        return read(path)
    except PriceFileError as e:
        if not isinstance(e.__cause__, FileNotFoundError):
            raise
        return []


def write(path: Path, prices: Iterable[Price]) -> None:
    """Write a file of prices so that a crash leaves the old one or the new one.

    Args:
        path: the file.
        prices: its rows.

    Raises:
        PriceFileError: it can't be written.
    """
    rows = [_row(price) for price in sorted(prices, key=lambda price: price.key)]
    text = '{"prices": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]}\n"
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(path)
    except OSError as e:
        raise PriceFileError(f"{path}: can't be written: {e.strerror}") from e


def _row(price: Price) -> dict[str, Any]:
    row = price._asdict()
    return row | {name: None if row[name] is None else f"{row[name]:f}" for name in _AMOUNTS}


def read(path: Path) -> list[Price]:
    """Read a file of prices.

    Raises:
        PriceFileError: it is unreadable or damaged.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["prices"]
        return [_price(row) for row in rows]
    except OSError as e:
        raise PriceFileError(f"{path}: can't be read: {e.strerror}") from e
    except (ValueError, KeyError, TypeError, InvalidOperation, RecursionError) as e:
        raise PriceFileError(
            f"{path}: is no file of prices ({e!r:.200}); remove it, or write it anew with"
            " fargate prices update"
        ) from e


def _price(row: dict[str, Any]) -> Price:
    amounts = {name: None if row[name] is None else Decimal(row[name]) for name in _AMOUNTS}
    if not all(amount is None or 0 <= amount < 1000 for amount in amounts.values()):
        raise ValueError("a price is out of all bounds")
    if amounts["vcpu_hour"] is None or amounts["gb_hour"] is None:
        raise ValueError("vcpu_hour and gb_hour are needed")
    return Price(**(row | amounts))
