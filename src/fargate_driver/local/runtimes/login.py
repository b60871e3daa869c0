"""Log in to a task as a client would, to see that it works."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.base import RuntimeUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT = 20.0
_PAUSE = 0.01


async def make_key(file: Path) -> str:
    """Make a key pair; return the public key.

    Raises:
        RuntimeUnavailableError: OpenSSH's client is missing or refuses.
    """
    await _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file))
    return file.with_name(file.name + ".pub").read_text().strip()


async def run_true(key: Path, user: str, address: str, port: int) -> None:
    """Wait for the server and run `true` there.

    Raises:
        RuntimeUnavailableError: nothing listens for too long, or the login is refused.
    """
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            if time.monotonic() > deadline:
                raise RuntimeUnavailableError(
                    f"no SSH server on {address} port {port} after {_TIMEOUT:.0f} s: {error}"
                ) from None
            await asyncio.sleep(_PAUSE)
        else:
            writer.close()
            break
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    await _run(
        *("ssh", "-F", "none", *words, "-i", str(key), "-l", user, "-p", str(port)),
        *(address, "true"),
    )


async def _run(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise RuntimeUnavailableError(
            f"{command[0]} is not on PATH: apt-get install openssh-client"
        ) from None
    output, _ = await process.communicate()
    if process.returncode:
        text = output.decode(errors="replace").strip() or "no output"
        raise RuntimeUnavailableError(
            f"{command[0]} failed with status {process.returncode}: {text}"
        )
