"""The embedded Fargate of one command."""

from __future__ import annotations

import subprocess
import sys

# asyncio has a handler for the signal in the parent, which a child is a copy of until exec.
LATE = """\
import signal, subprocess
from functools import partial
from fargate_driver.runner.embedded import _end_with
signal.signal(signal.SIGTERM, lambda *_: None)
somebody_else = 0
child = subprocess.run(["echo", "started"], preexec_fn=partial(_end_with, somebody_else))
print(child.returncode)
"""


def test_it_does_not_start_when_its_parent_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
