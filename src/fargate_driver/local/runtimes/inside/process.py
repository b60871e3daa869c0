"""Become the first process of a container, as its image and its definition say."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING, NoReturn

from fargate_driver.local.runtimes.inside import kernel

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.inside.plan import Plan, Process


def run(plan: Plan, process: Process, status: int) -> NoReturn:
    """Become the process; the container's namespaces and root file system are entered already.

    Args:
        plan: The container.
        process: What to start.
        status: A pipe to who waits for the start; closed by it. Written to only by the caller, if
            this raises.

    Raises:
        OSError: it can't be started; the text is in the words of runc, which Fargate uses.
    """
    os.setsid()
    os.chdir(process.working_directory)
    become(process)
    # The changes of ids undid it.
    kernel.die_with_parent(signal.SIGKILL)
    poll = select.poll()
    poll.register(status, 0)
    if poll.poll(0):  # nobody reads any more: the supervisor is gone
        os._exit(1)
    if plan.delay and "SSH_PUBLIC_KEY" in process.environment:
        # The container runs, and its SSH server comes late.
        os.close(status)
        time.sleep(plan.delay)
    execute(process.arguments, process.environment)


def become(process: Process) -> None:
    """Take on the process's user and, at most, what a container on Fargate may do.

    Raises:
        OSError: the ids aren't there in this user namespace.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these
        signal.signal(number, signal.SIG_DFL)
    kernel.limit_capabilities(as_root=True)
    if kernel.may_set_groups():
        os.setgroups(process.groups)
    os.setgid(process.gid)
    os.setuid(process.uid)


def execute(arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """Execute a program, looked up in the environment's PATH.

    Raises:
        OSError: it can't be executed; in runc's words.
    """
    name = arguments[0]
    try:
        os.execvpe(name, arguments, environment)  # noqa: S606 - the container's, no shell's
    except FileNotFoundError as error:
        if "/" not in name:
            problem = f'exec: "{name}": executable file not found in $PATH'
        elif os.path.lexists(name):  # a script whose interpreter isn't there, or a link to nowhere
            problem = f"exec {name}: no such file or directory"
        else:
            problem = f'exec: "{name}": stat {name}: no such file or directory'
        raise OSError(error.errno, problem) from None
    except PermissionError as error:
        raise OSError(error.errno, f'exec: "{name}": permission denied') from None
    except OSError as error:
        raise OSError(error.errno, f"exec {name}: {(error.strerror or '').lower()}") from None
