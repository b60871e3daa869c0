"""Outside of a task: starts its init, sees to it that nothing outlives it, cleans up.

stdin: the plan's line; its end means that the task has to end at once, whatever became of the
writer. stdout: "running", or a line that says why not; at the end "out of memory" if so. SIGTERM
goes to the init. Exit status: the init's, with 128 + N for signal N.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from typing import NoReturn

from fargate_driver.local.runtimes.inside import init, kernel, limits, network, report, rootfs
from fargate_driver.local.runtimes.inside.plan import Plan
from fargate_driver.local.runtimes.processes import descendants


def main() -> NoReturn:
    """Run the task that stdin describes."""
    plan = Plan.loads(report.read_line())
    rootfs.storage(plan).mkdir(mode=0o711)
    try:
        code = _supervise(plan)
    except OSError as error:
        report.say(report.describe(error))
        code = 1
    _clean_up(plan)
    sys.stderr.flush()
    os._exit(code)


def _supervise(plan: Plan) -> int:
    if not plan.isolated:
        kernel.adopt_orphans()
    else:
        if os.geteuid() != 0:
            kernel.enter_user_namespace()
        kernel.unshare(kernel.NEW_PID)
    gate = os.pipe()
    ready = os.pipe()
    child = os.fork()
    if child == 0:
        _become_init(plan, gate, ready)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    os.close(gate[0])
    os.close(ready[1])
    try:
        for cgroup in plan.cgroups:
            (Path(cgroup) / "cgroup.procs").write_text(str(child))
        if plan.link is not None:
            kernel.start_children_here()
            if os.read(ready[0], 1):  # now the child is in its network namespace
                network.connect(plan.link, child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    os.write(gate[1], b".")
    os.close(gate[1])
    return _watch(child)


def _become_init(plan: Plan, gate: tuple[int, int], ready: tuple[int, int]) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        kernel.die_with_parent(signal.SIGKILL)
        os.close(gate[1])
        os.close(ready[0])
        if plan.link:
            kernel.unshare(kernel.NEW_NET)
            os.write(ready[1], b".")
        os.close(ready[1])
        if not os.read(gate[0], 1):
            os._exit(1)  # the supervisor is gone
        os.close(gate[0])
        if plan.link:
            network.configure(plan.address, plan.link)
        if plan.isolated:
            init.enter(plan)
            place = Path(rootfs.PRIVATE)
        else:
            place = rootfs.storage(plan)
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)

        def started() -> None:
            report.say("running")
            os.dup2(2, 1)

        init.run(plan, place, started)
    except OSError as error:
        report.say(report.describe(error))
        os._exit(1)


def _watch(child: int) -> int:
    """Wait for the end of the init, or bring it about at the end of stdin; return its exit code."""
    handle = os.pidfd_open(child)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(0, select.POLLIN)
    while True:
        events = dict(poll.poll())
        if handle in events:
            break
        if not os.read(0, 1):
            os.kill(child, signal.SIGKILL)
            poll.unregister(0)
    # In a PID namespace the kernel has ended all others before it lets go of the init.
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _clean_up(plan: Plan) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not plan.isolated:
        _end_descendants()
    if plan.link:
        network.disconnect(plan.link)
    if limits.ran_out_of_memory(plan.cgroups):
        report.say("out of memory")
    limits.remove(plan.cgroups)
    _remove(rootfs.storage(plan))


def _end_descendants() -> None:
    """End all processes that the init left: they are this process's children now, or theirs."""
    while True:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _remove(directory: Path) -> None:
    # A job may leave directories that not even their owner can look into, and so does overlayfs.
    for place, names, _ in os.walk(directory):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o700)
    # Imported late, since it takes as long as all else here.
    import shutil  # noqa: PLC0415

    shutil.rmtree(directory)
