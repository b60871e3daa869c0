"""Start what runs around and inside containers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.base import RuntimeUnavailableError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping, Sequence

_SOURCES = Path(__file__).parents[3]
_START_TIMEOUT = 60.0


def program(module: str) -> list[str]:
    """Return the command that runs one of the modules in `inside`."""
    # The interpreter must not look at the container's environment: hence -I, and the path by hand.
    code = (
        f"import sys; sys.path.append({str(_SOURCES)!r}); "
        f"from fargate_driver.local.runtimes.inside.{module} import main; main()"
    )
    return [sys.executable, "-I", "-S", "-c", code]


async def launch(
    module: str,
    plan: str,
    environment: Mapping[str, str],
    log: Path,
    descriptors: Sequence[int] = (),
) -> Process:
    """Start a supervisor and wait until it says that its container runs.

    Args:
        module: which of the modules in `inside` it is.
        plan: the line for its stdin.
        environment: its own.
        log: the file for its stderr.
        descriptors: what else it gets, by the same numbers.

    Raises:
        RuntimeUnavailableError: it says something else, or nothing for too long; it has ended.
    """
    with log.open("ab") as file:
        try:
            supervisor = await asyncio.create_subprocess_exec(
                *program(module),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                env=environment,
                cwd="/",
                pass_fds=descriptors,
                # A signal to the embedded Fargate's process group is not one to the tasks.
                start_new_session=True,
            )
        except OSError as error:
            raise RuntimeUnavailableError(f"no process can be started: {error}") from None
    assert supervisor.stdin  # noqa: S101  both are pipes, see above
    assert supervisor.stdout  # noqa: S101
    answer = b""
    try:
        supervisor.stdin.write(plan.encode() + b"\n")
        async with asyncio.timeout(_START_TIMEOUT):
            answer = await supervisor.stdout.readline()
    except TimeoutError:
        answer = f"not running after {_START_TIMEOUT:.0f} s".encode()
    finally:
        if answer != b"running\n":
            supervisor.stdin.close()
            await asyncio.shield(supervisor.wait())
    if answer != b"running\n":
        text = answer.decode(errors="replace").strip()
        raise RuntimeUnavailableError(text or f"the task's supervisor failed: see {log}")
    return supervisor
