"""An embedded Fargate that lives as long as one command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.inside.kernel import die_with_parent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_READY_TIMEOUT = 120.0
_END_TIMEOUT = 60.0
"""Seconds: `local up` ends every task first, each with its own grace."""


class EmbeddedFargateError(Exception):
    """The embedded Fargate is not usable; the text is one line."""


@asynccontextmanager
async def embedded_fargate(*, images: bool) -> AsyncIterator[Path]:
    """Start `fargate local up` in a directory of its own; ends and removes it in any case.

    Args:
        images: Whether jobs run in images of their own, where its runtime can do that.

    Yields:
        The driver's configuration for it.

    Raises:
        EmbeddedFargateError: it does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="fargate-try-"))
    try:
        # A session of its own: Ctrl-C at the terminal must reach the job first. And not in the
        # user's folder, from which `-m` would import modules.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fargate_driver"),
            *("local", "up", "--dir", str(directory / "local"), "--port", "0"),
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=partial(_end_with, os.getpid()),
        )
        try:
            await _wait_until_ready(process)
            with_images = directory / "local" / "images.toml"
            plain = directory / "local" / "fargate.toml"
            yield with_images if images and with_images.exists() else plain
        finally:
            await _end(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _end_with(parent: int) -> None:
    """Have this process told to end when its parent is killed, which tells nobody anything."""
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        # Not by the signal, which is asyncio's to handle in what is still a copy of this process.
        os._exit(1)


async def _wait_until_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        async with asyncio.timeout(_READY_TIMEOUT):
            while line := await process.stdout.readline():
                if line.startswith(b"ready: "):
                    return
            code = await process.wait()
    except TimeoutError:
        text = f"the embedded Fargate was not ready within {_READY_TIMEOUT:g} s"
        raise EmbeddedFargateError(text) from None
    raise EmbeddedFargateError(
        f"the embedded Fargate ended before it was ready (exit code {code}): see above for why, "
        "or name a configuration with --config"
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
