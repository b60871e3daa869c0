"""The files on this host that the settings name, beside the records."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.costs import prices
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.settings.model import Costs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings


def look(config: Settings, config_path: str) -> Iterator[Finding]:
    """Check the log, the metrics and the prices, as far as the settings name any.

    Args:
        config: The settings.
        config_path: Where they are from.
    """
    if config.log_file:
        yield _judge("log-file", "LogFile", config.log_file, (config.log_file,))
    if config.metrics.text_file:
        # The driver replaces it as a whole, under the lock beside it.
        file = config.metrics.text_file
        kept = tuple(file.with_name(f"{file.name}.{end}") for end in ("state", "lock"))
        yield _judge("text-file", "[Metrics] TextFile", file, kept)
    usual = Path(config_path).absolute().parent / Costs().price_file
    yield from _price_file(config.costs.price_file, named=config.costs.price_file != usual)


def _judge(check: str, key: str, path: Path, opened: tuple[Path, ...]) -> Finding:
    """Try whether files can be made in the folder, and opened where they exist."""
    tried = folder = path.parent
    try:
        # Some versions of Python raise what others take for a no, such as a folder above that can't
        # be searched.
        if not folder.is_dir():
            mend = f"make it, for gitlab-runner's user: mkdir -p {folder}"
            return wrong(check, f"{key}: there is no folder {folder}", mend)
        if path.is_dir():
            return wrong(check, f"{key}: {path} is a folder", f"name a file in {key}")
        if check == "text-file" or not path.exists():
            with tempfile.TemporaryFile(dir=folder):  # never has a name, where Linux can do so
                pass
        for tried in opened:
            if tried.exists():
                os.close(os.open(tried, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        mend = f"let gitlab-runner's user write to it, or name another file in {key}"
        return wrong(check, f"{key}: {tried} can't be written to: {error.strerror}", mend)
    return ok(check, f"{path} can be written")


def _price_file(path: Path, *, named: bool) -> Iterator[Finding]:
    check = "price-file"
    update = "`fargate prices update` writes it"
    try:
        if not path.exists():
            if named:
                yield unchecked(check, f"there is no {path}: the packaged prices count; {update}")
            return
        count = len(prices.read(path))
    except (prices.PriceFileError, OSError) as error:
        yield wrong(check, f"[Costs] PriceFile: {error}", f"{update}, or remove it")
        return
    yield ok(check, f"{path}: {count} prices")
