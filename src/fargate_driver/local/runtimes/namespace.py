"""The `namespace` runtime: as `user`, with a network and limits of the task's own. For root."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.addresses import Links
from fargate_driver.local.runtimes.base import RuntimeUnavailableError, TaskSpec
from fargate_driver.local.runtimes.cgroups import Cgroups, remove
from fargate_driver.local.runtimes.inside.plan import Inner
from fargate_driver.local.runtimes.networks import TaskNetwork
from fargate_driver.local.runtimes.starting import Surroundings
from fargate_driver.local.runtimes.supervised import SupervisedRuntime

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path


class NamespaceRuntime(SupervisedRuntime):
    """Tasks with their own IPv4 address, SSH on port 22, and limits where cgroups allow them.

    The address is in 10.64.0.0/10, on a /30 shared with the host alone. A task reaches the host
    there, but neither the host's loopback nor the internet: that would need address
    translation, and the host's firewall is not this project's to change.
    """

    name = "namespace"
    ssh_port = 22

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._links = Links()
        self._cgroups = Cgroups()

    async def probe(self) -> None:
        """Run a trivial task, see `Runtime.probe`."""
        if os.geteuid() != 0:
            raise RuntimeUnavailableError("it needs root: use --runtime user")
        if shutil.which("ip") is None:
            raise RuntimeUnavailableError("ip is not on PATH: apt-get install iproute2")
        self._cgroups.remove_stale()
        await super().probe()

    async def _surround(self, spec: TaskSpec, stack: contextlib.ExitStack) -> Surroundings:
        host, task = self._links.take()
        stack.callback(self._links.give_back, task)
        try:
            cgroups = self._cgroups.make(spec.task_id, spec.cpu, spec.memory)
            for cgroup in cgroups:
                stack.callback(remove, cgroup)
            name = f"fl{spec.task_id[:12]}"
            network = await asyncio.to_thread(TaskNetwork, name, host, task)
        except OSError as error:
            raise RuntimeUnavailableError(str(error)) from None
        stack.callback(network.close)
        # Of the task's own loopback, away from where other servers are.
        inner = {
            container.name: Inner(f"127.1.{number}.1", f"127.1.{number}.2")
            for number, container in enumerate(spec.containers)
            if spec.ssh.other_host_key
        }
        return Surroundings(task, network.descriptor, cgroups, inner)
