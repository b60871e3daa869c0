"""The driver, killed with SIGKILL just before it does the Nth thing that anything else can see.

Usage: killed_driver.py COUNT_FILE N WORD…; the words are the driver's command line. With N 0 it is
not killed. COUNT_FILE gets one line per such thing: a connection, a process started, a file
opened for writing, renamed, linked or removed, a folder made.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from fargate_driver.cli import main as driver

SEEN = {
    "socket.connect",
    "subprocess.Popen",
    "os.posix_spawn",
    "os.fork",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
}


def main() -> int:
    count_file, last, *words = sys.argv[1:]
    counter = os.open(count_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event not in SEEN and not writes:
            return
        seen += 1
        os.write(counter, f"{event} {arguments[0]!r:.200}\n".encode())
        if seen == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.dont_write_bytecode = True
    sys.addaudithook(hook)
    return driver(words)


if __name__ == "__main__":
    sys.exit(main())
