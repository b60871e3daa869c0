"""`fargate local`: the embedded Fargate on the command line."""

from __future__ import annotations

import asyncio
import json
import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fargate_driver.commands.group import Group
from fargate_driver.commands.image import image
from fargate_driver.console import say

if TYPE_CHECKING:
    from fargate_driver.local.embedded import Options

RUNTIMES = ("auto", "podman", "namespace", "user", "process")


class _StartFailedError(click.ClickException):
    """Ends the command with one line."""

    exit_code = 2


def _positive(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0 < value < math.inf:
        raise click.BadParameter("must be a number greater than 0")
    return value


@click.group(
    cls=Group,
    epilog="\b\nExamples:\n  fargate local up --dir ./fargate\n"
    "  fargate local image import debian ./debootstrap-folder\n",
)
def local() -> None:
    """Run an embedded, ECS-compatible Fargate on this machine."""


local.add_command(image)


@local.command(
    epilog="\b\nExamples, each in a terminal of its own:\n  fargate local up --dir ./fargate\n"
    "  fargate --config ./fargate/fargate.toml try -- echo hello\n"
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="Directory for its files; made if absent. DIR/fargate.toml is a configuration for it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="a free one",
    help="Port of the endpoint on 127.0.0.1.",
)
@click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="auto",
    show_default=True,
    help="How tasks run; auto takes the best that works here.",
)
@click.option(
    "--time-scale",
    type=float,
    default=1.0,
    show_default=True,
    callback=_positive,
    help="Multiplies every duration, those of fault rules included.",
)
@click.option("--limits", type=click.Choice(["aws"]), help="Enforce AWS's request rates.")
@click.option(
    "--faults",
    type=click.Path(path_type=Path),
    help="JSON file with the fault rules to begin with.",
)
def up(
    *,
    directory: Path,
    port: int,
    runtime: str,
    time_scale: float,
    limits: str | None,
    faults: Path | None,
) -> None:
    """Run it in the foreground; SIGTERM or Ctrl-C ends it and every task.

    It listens on 127.0.0.1 and checks no signatures: whoever has an account on this machine can
    start tasks, which run as you.
    """
    try:
        # Here, since only this command needs aiohttp.
        from fargate_driver.local.embedded import Options, StartError  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        raise _StartFailedError(
            "aiohttp is missing: pip install 'gitlab-fargate-driver[local]'"
        ) from None
    rules = [] if faults is None else _read_rules(faults)
    options = Options(directory, port, runtime, time_scale, limits == "aws", rules)
    try:
        asyncio.run(_serve(options))
    except StartError as error:
        raise _StartFailedError(str(error)) from None
    except asyncio.CancelledError:  # a signal, which is how this command ends
        say(f"ended: {directory} keeps its configuration; its tasks and the jobs' history are gone")


def _read_rules(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _StartFailedError(f"--faults {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _StartFailedError(f"--faults {path}: not JSON: {error}") from None


async def _serve(options: Options) -> None:
    from fargate_driver.local.embedded import serve  # noqa: PLC0415 - it needs aiohttp
    from fargate_driver.local.runtimes.choice import choose  # noqa: PLC0415 - for `up` only

    _cancel_on_signals()
    async with serve(options, choose, lambda line: click.echo(line, err=True)) as embedded:
        click.echo(f"ready: {embedded.url}")
        await asyncio.Event().wait()


def _cancel_on_signals() -> None:
    """Have the first signal end this coroutine in order; further ones don't disturb that."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    ending = False

    def end() -> None:
        nonlocal ending
        if not ending and task is not None:
            ending = True
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)
