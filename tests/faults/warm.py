"""The driver's slow stages, in processes that have made their imports already.

Half of what a case costs is Python's import of AWS's library, which says nothing about faults. So
prepare and cleanup are forked from a server that has imported it: the same code, called the same
way, each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from driver_calls import JobCalls
from fargate_driver import cli

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODULES = (
    "fargate_driver.stages.prepare",
    "fargate_driver.stages.cleanup",
    "fargate_driver.ecs.diagnosis",
    "faults.warm",
)


class WarmCalls(JobCalls):
    """The calls of one job; prepare and cleanup through `call` are warm."""

    def call(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call a stage and wait for it."""
        environment = self.call_environment(variables)
        argv = ["--config", str(self.config), "custom", *words]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_MODULES])
        process = context.Process(target=_drive, args=(argv, environment, str(self.temporary)))
        process.start()
        process.join(150)
        if process.exitcode is None:
            process.kill()
            process.join()
        output, errors = (
            (self.temporary / name).read_text(errors="replace") for name in ("stdout", "stderr")
        )
        assert process.exitcode is not None
        return subprocess.CompletedProcess(argv, process.exitcode, output, errors)


def _drive(argv: list[str], environment: Mapping[str, str], directory: str) -> None:
    """Become a call of the driver: session, directory, environment and streams of its own."""
    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.exit(cli.main(argv))
