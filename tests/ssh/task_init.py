"""The first process of a pretended task: reaps, passes on nothing, ends everything on SIGTERM.

On SIGUSR1 it calls itself `ending`, as one does that lets a running stage go on after SIGTERM.

Started as `python task_init.py COMMAND…` with the container's environment. It is a subreaper, so
what a job orphans becomes its child, as it becomes PID 1's in a container.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def children() -> list[int]:
    own = str(os.getpid())
    return [int(pid) for pid in Path(f"/proc/self/task/{own}/children").read_text().split()]


def end(_number: int, _frame: object) -> None:
    while left := children():
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    os._exit(0)


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGUSR1, lambda *_: Path("/proc/self/comm").write_text("ending"))
    os.setsid()
    if os.fork() == 0:
        # As an entrypoint does: sshd does not get to see the task's variables.
        os.execv(sys.argv[1], sys.argv[1:])
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.pause()


if __name__ == "__main__":
    main()
