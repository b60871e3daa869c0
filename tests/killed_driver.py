"""Drivers that are killed with SIGKILL at one of the steps that anything else can see.

Reads requests, one JSON object per line: `words` (the driver's command line), `environment`,
`directory` (to work in), `log` (for its output), `steps` and `kill`. Runs the driver in a process
of its own, forked, since importing it takes longer than all else here, and answers with its exit
status, negative for a signal.

The file `steps` gets a line per step: a connection, a request, a process started or told to end, a
file opened for writing, renamed, linked or removed, a folder made. `kill` is such a line:
the driver is killed just before that step; with `+` and seconds after it, so much later; "" is
never. A step is named by the calls in the driver that lead to it, so that it is the same one in
every run, however often the driver looks at its task, and a step that is new is found by itself.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fargate_driver
import fargate_driver.commands.reap
import fargate_driver.stages.cleanup
import fargate_driver.stages.prepare
import fargate_driver.stages.run
from fargate_driver.cli import main as driver

SEEN = {
    "http.client.send",
    "os.chmod",
    "os.fork",
    "os.kill",
    "os.link",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "socket.bind",
    "socket.connect",
    "socket.sendmsg",
    "subprocess.Popen",
}
PACKAGE = str(Path(fargate_driver.__file__).parent)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            be_a_driver(**request)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(1, f"{code}\n".encode())


def be_a_driver(
    *,
    words: list[str],
    environment: dict[str, str],
    directory: str,
    log: str,
    steps: str,
    kill: str,
) -> None:
    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(source, descriptor)
    os.closerange(3, 100)
    random.seed()
    code = 70
    try:
        watch(steps, kill)
        code = driver(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def watch(steps: str, kill: str) -> None:
    last, _, delay = kill.partition("+")
    file = os.open(steps, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    seen: Counter[str] = Counter()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in SEEN and not (event == "open" and writes(*arguments)):
            return
        name = f"{event} {calls()}"
        seen[name] += 1
        step = f"{name} #{seen[name]}"
        os.write(file, f"{step}\n".encode())
        if step == last and delay:
            # The default action of its signal ends the process at once, as SIGKILL does.
            signal.setitimer(signal.ITIMER_REAL, float(delay))
        elif step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def writes(path: Any, _mode: Any, flags: int | None) -> bool:
    """Whether a file is opened that may be changed or made by it."""
    if isinstance(path, int) or path == os.devnull:
        return False
    return bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def calls() -> str:
    """The lines of the driver that lead to a step, the innermost last."""
    found = []
    frame = sys._getframe(2)
    while frame.f_back:
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE):
            found.append(f"{path.removeprefix(PACKAGE)}:{frame.f_lineno}")
        frame = frame.f_back
    return " ".join(reversed(found))


if __name__ == "__main__":
    main()
