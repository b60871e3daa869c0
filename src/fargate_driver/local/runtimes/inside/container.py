"""Outside of a podman container: starts it, sees to it that nothing outlives it, cleans up.

It speaks with the embedded Fargate as `supervisor` does. conmon, podman's own monitor of the
container, becomes a child of this process, and so the container's processes are below it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from fargate_driver.local.runtimes.inside import kernel, network, report
from fargate_driver.local.runtimes.inside.container_plan import ContainerPlan
from fargate_driver.local.runtimes.inside.entrance import Entrance

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT = 50.0  # seconds for a call of podman: it hangs where its network helper does
_STATE = "{{.State.Pid}} {{.State.ConmonPid}} {{.Config.StopSignal}}"
_RESULT = "{{.State.ExitCode}} {{.State.OOMKilled}}"


class _Container(NamedTuple):
    pid: int
    """Of its first process, as the host sees it; 0 if it has ended already."""
    monitor: int
    stop_signal: str


def main() -> NoReturn:
    """Run the task that stdin describes."""
    plan = ContainerPlan.loads(report.read_line())
    kernel.adopt_orphans()
    podman = _Podman(plan)
    code = 1
    try:
        code = _supervise(plan, podman)
    except OSError as error:
        report.say(report.describe(error))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            podman("rm", "--force", "--ignore", "--volumes", plan.name)
        except OSError as error:
            sys.stderr.write(f"{report.describe(error)}\n")
        if plan.link:
            network.disconnect(plan.link)
    sys.stderr.flush()
    os._exit(code)


def _supervise(plan: ContainerPlan, podman: _Podman) -> int:
    with Entrance(plan) as entrance:
        podman("run", "--detach", "--name", plan.name, *entrance.network, *plan.arguments)
        pid, monitor, stop_signal = podman.inspect(plan.name, _STATE).split()
        container = _Container(int(pid), int(monitor), stop_signal)

        def stop(_signal: int, _frame: object) -> None:
            try:
                podman("kill", "--signal", container.stop_signal, plan.name)
            except OSError as error:  # it has just ended
                sys.stderr.write(f"{report.describe(error)}\n")

        if container.pid:
            entrance.open(container.pid)
        signal.signal(signal.SIGTERM, stop)
        report.say("running")
        if container.pid:
            _watch(container, plan, podman)
    code, out_of_memory = podman.inspect(plan.name, _RESULT).split()
    if out_of_memory == "true":
        report.say("out of memory")
    return int(code)


def _watch(container: _Container, plan: ContainerPlan, podman: _Podman) -> None:
    """Wait until podman has noted the container's end; bring it about at the end of stdin."""
    try:
        handle = os.pidfd_open(container.monitor)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(0, select.POLLIN)
    while True:
        events = dict(poll.poll())
        if handle in events:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(container.monitor, 0)
            return
        if not os.read(0, 1):
            poll.unregister(0)
            # SIGTERM would ask for what is done here.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            podman("kill", "--signal", "KILL", plan.name, may_fail=True)


class _Podman:
    """Calls podman.

    Args:
        plan: says which, and holds the container's environment.
    """

    def __init__(self, plan: ContainerPlan) -> None:
        self._program = plan.podman
        # `run --env NAME` takes the value from here: arguments can be seen by every user.
        self._environment: Mapping[str, str] = {**plan.environment, **os.environ}

    def __call__(self, *words: str, may_fail: bool = False) -> str:
        """Return what podman says on stdout.

        Raises:
            OSError: it failed; the text is its own.
        """
        try:
            done = subprocess.run(
                [self._program, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=self._environment,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"podman {words[0]} is not done after {_TIMEOUT:.0f} s") from None
        if done.returncode and not may_fail:
            said = done.stderr.strip() or f"status {done.returncode}"
            raise OSError(f"podman {words[0]}: {said}")
        return done.stdout

    def inspect(self, name: str, form: str) -> str:
        """Return something about a container."""
        return self("inspect", "--type", "container", "--format", form, name)
