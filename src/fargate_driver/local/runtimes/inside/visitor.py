"""Run a command within a container that runs, as health checks are.

stdin: a line of JSON: the PID of the container's first process, directories of its cgroups, and
the process to run. Exit status: the command's, with 128 + N for signal N, 126 if it can't be run.
The command ends with this process, and is in its process group.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from fargate_driver.local.runtimes.inside import kernel, process, report
from fargate_driver.local.runtimes.inside.plan import Process


def order(pid: int, cgroups: list[str], visit: Process) -> str:
    """Return the line for `main`."""
    return json.dumps([pid, cgroups, visit])


def main() -> NoReturn:
    """Run what stdin describes."""
    pid, cgroups, visit = json.loads(report.read_line())
    try:
        code = _visit(pid, cgroups, Process(*visit))
    except OSError as error:
        sys.stderr.write(f"{report.describe(error)}\n")
        code = 126
    sys.stderr.flush()
    os._exit(code)


def _visit(pid: int, cgroups: list[str], visit: Process) -> int:
    for cgroup in cgroups:
        (Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
    kernel.join_process(kernel.reach(pid))
    child = os.fork()
    if child == 0:
        try:
            os.chdir(visit.working_directory)
            process.become(visit)
            kernel.die_with_parent(signal.SIGKILL)
            process.execute(visit.arguments, visit.environment)
        except OSError as error:
            sys.stderr.write(f"{report.describe(error)}\n")
            sys.stderr.flush()
        finally:
            os._exit(126)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
