"""The driver's slow stages, in processes that have made their imports already.

Half of what prepare and cleanup cost is Python's import of AWS's library, which says nothing about
them. So they are forked from a server that has imported it: the same code, called the same way,
each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver import cli

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STAGES = ("prepare", "cleanup")
_MODULES = (
    "fargate_driver.stages.prepare",
    "fargate_driver.stages.cleanup",
    "fargate_driver.ecs.diagnosis",
    "warm_driver",
)
_ENDS = threading.Lock()
"""multiprocessing, when it starts a process, also looks for those that have ended: who looks at one
in two threads at once takes its exit code for 255."""


def call(
    words: Sequence[str], environment: Mapping[str, str], directory: Path
) -> subprocess.CompletedProcess[str]:
    """Call the driver in a directory and wait for it, for 150 s at most."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_MODULES])
    with tempfile.TemporaryDirectory() as outputs:
        given = (words, environment, str(directory), outputs)
        process = context.Process(target=_drive, args=given)
        with _ENDS:
            process.start()
        wait([process.sentinel], 150)
        with _ENDS:
            process.join(0)  # so that nobody else's pid is killed where it has ended
            process.kill()
            process.join()
        stdout, stderr = (Path(outputs, name).read_text(errors="replace") for name in ("1", "2"))
        status = process.exitcode
        process.close()
    assert status is not None
    return subprocess.CompletedProcess(words, status, stdout, stderr)


def _drive(
    words: Sequence[str], environment: Mapping[str, str], directory: str, outputs: str
) -> None:
    """Become a call of the driver: session, directory, environment and streams of its own."""
    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number in (1, 2):
        file = os.open(f"{outputs}/{number}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.exit(cli.main(list(words)))
