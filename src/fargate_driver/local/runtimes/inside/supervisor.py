"""Outside of a container: starts its init, sees to it that nothing outlives it, cleans up.

stdin: the plan's line; its end means that the container has to end at once, whatever became of the
writer. stdout: "running", or a line that says why not; at the end "out of memory" if so. SIGTERM
is for the init, which gets the image's STOPSIGNAL. Exit status: the init's, with 128 + N for
signal N.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fargate_driver.local.runtimes.inside import (
    init,
    kernel,
    limits,
    process,
    report,
    rootfs,
    stop_signal,
)
from fargate_driver.local.runtimes.inside.plan import Plan
from fargate_driver.local.runtimes.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> NoReturn:
    """Run the container that stdin describes."""
    parent = os.getppid()
    plan = Plan.loads(report.read_line())
    try:
        Path(plan.storage).mkdir(mode=0o711)
        code = _supervise(plan)
    except OSError as error:
        report.say(report.describe(error))
        code = 1
    _clean_up(plan, orphaned=_is_gone(parent))
    sys.stderr.flush()
    os._exit(code)


def _supervise(plan: Plan) -> int:
    as_root = os.geteuid() == 0
    if plan.network is not None:
        kernel.join(f"/proc/self/fd/{plan.network}")
        os.close(plan.network)
    if not plan.isolated:
        kernel.adopt_orphans()
    else:
        if not as_root:
            _enter_user_namespace(plan)
        kernel.unshare(kernel.NEW_PID)
    gate = os.pipe()
    status = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(gate[1])
        os.close(status[0])
        _become_init(plan, gate[0], status[1], as_root=as_root)
    stop = stop_signal.StopSignal(child, _stop_signal(plan), isolated=plan.isolated)
    os.close(gate[0])
    os.close(status[1])
    try:
        for cgroup in plan.cgroups:
            (Path(cgroup) / "cgroup.procs").write_text(str(child))
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    os.write(gate[1], b".")
    os.close(gate[1])
    problem = _read_all(status[0])
    stop.begun()
    if plan.process and plan.inner and not problem:
        # Only a task with this fault pays for the import.
        from fargate_driver.local.runtimes.inside import double  # noqa: PLC0415

        double.start(plan, plan.process, plan.inner, child)
    report.say(problem or "running")
    return _watch(child)


def _enter_user_namespace(plan: Plan) -> None:
    if plan.process:
        kernel.enter_user_namespace(plan.process.uid, plan.process.gid)
    else:
        # Its own ids, not root's: OpenSSH's sshd refuses to run as root without root's rights.
        kernel.enter_user_namespace(os.geteuid(), os.getegid())


def _become_init(plan: Plan, gate: int, status: int, *, as_root: bool) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        kernel.die_with_parent(signal.SIGKILL)
        if not os.read(gate, 1):
            os._exit(1)  # the supervisor is gone
        os.close(gate)
        place = Path(plan.storage)
        if plan.isolated:
            init.enter(plan, as_root=as_root)
            place = Path(rootfs.PRIVATE)
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        os.dup2(2, 1)
        if plan.process:
            process.run(plan, plan.process, status)
        init.run(plan, place, lambda: os.close(status))
    except OSError as error:
        with contextlib.suppress(OSError):  # closed: it runs already, as far as anyone knows
            os.write(status, report.describe(error).encode())
        sys.stderr.write(f"{report.describe(error)}\n")
        sys.stderr.flush()
        os._exit(127)


def _stop_signal(plan: Plan) -> int:
    return plan.process.stop_signal if plan.process else signal.SIGTERM


def _read_all(pipe: int) -> str:
    """Return what the init says until it, or the program it becomes, has no more to say."""
    with os.fdopen(pipe, "rb") as file:
        return file.read().decode(errors="replace")


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


def _is_gone(parent: int) -> bool:
    """Whether the embedded Fargate was killed.

    Its files, whose end is this container's, are closed a moment before its children are given to
    another parent (Linux's do_exit: exit_files, then exit_notify).
    """
    if os.getppid() != parent:
        return True
    with contextlib.suppress(OSError):
        return not os.listdir(f"/proc/{parent}/fd")  # noqa: PTH208 - names alone
    return False


def _clean_up(plan: Plan, *, orphaned: bool) -> None:
    stop_signal.ignore()
    if not plan.isolated:
        _end_descendants()
    # Whatever can't be removed keeps neither the rest nor the exit code.
    with _said():
        if limits.ran_out_of_memory(plan.cgroups):
            report.say("out of memory")
    with _said():
        # The task's own are the embedded Fargate's to remove, while that lives.
        limits.remove(plan.cgroups, with_those_above=orphaned)
    with _said():
        _remove(Path(plan.storage))


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Tell of what fails in the container's log."""
    try:
        yield
    except OSError as error:
        sys.stderr.write(f"{report.describe(error)}\n")


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
