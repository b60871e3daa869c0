"""The first process of a container: its environment is the container's, and it never execs.

OpenSSH's sshd overwrites its own environment when it sets its title, so it can't be PID 1:
whoever reads /proc/1/environ, as the driver does, would find nothing there.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

from fargate_driver.local.runtimes.inside import kernel, rootfs, sshd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fargate_driver.local.runtimes.inside.plan import Plan


def run(plan: Plan, place: Path, started: Callable[[], None]) -> NoReturn:
    """Be the init: start the SSH server, adopt and reap orphans, end when the server ends.

    Ends with the server's exit status, or at once with 143 on SIGTERM, and all that runs in the
    container with it, as a container does whose entrypoint leaves signals to their defaults.

    Args:
        plan: the task.
        place: a private directory that the task sees.
        started: called once the container runs.
    """
    server = 0

    def end(_signal: int, _frame: object) -> None:
        if server:
            os.kill(server, signal.SIGTERM)
        os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0o022)
    if plan.isolated:
        kernel.limit_capabilities(as_root=os.geteuid() == 0)
    else:
        kernel.adopt_orphans()
    started()
    server = sshd.run(plan, place)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == server:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def enter(plan: Plan, *, as_root: bool) -> None:
    """Enter the container's own mounts and names; the PID namespace is entered already.

    Args:
        plan: The container.
        as_root: Whether this is the host's root.

    Raises:
        OSError: the kernel refused a step.
    """
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_IPC | kernel.NEW_UTS)
    os.umask(0o022)
    if plan.process:
        kernel.set_host_name(plan.host_name)
    if plan.root is None:
        rootfs.enter(plan, as_root=as_root)
    else:
        # Only a container of an image pays for the import.
        from fargate_driver.local.runtimes.inside import image_root  # noqa: PLC0415

        image_root.enter(plan, as_root=as_root)
