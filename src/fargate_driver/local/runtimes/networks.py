"""The network of a task, which its containers share: it lasts as long as a descriptor of it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from fargate_driver.local.runtimes.inside import kernel, network
from fargate_driver.local.runtimes.inside.plan import Link


class TaskNetwork:
    """A network namespace with an address on a veth pair that ends at the host. Needs root.

    Args:
        name: the pair's end at the host.
        host: the host's address.
        address: the task's.

    Raises:
        OSError: the kernel or `ip` refused a step.
    """

    def __init__(self, name: str, host: str, address: str) -> None:
        self._link = Link(name, host)
        # Namespaces are a thread's own, so this one leaves the host's without the others.
        with ThreadPoolExecutor(1) as inside:
            self.descriptor, thread = inside.submit(_leave).result()
            try:
                network.connect(self._link, thread)
                inside.submit(network.configure, address, self._link).result()
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Let go of it; it ends with the last process in it."""
        os.close(self.descriptor)
        network.disconnect(self._link)


def _leave() -> tuple[int, int]:
    kernel.unshare(kernel.NEW_NET)
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return descriptor, threading.get_native_id()
