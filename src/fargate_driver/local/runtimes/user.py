"""The `user` runtime: namespaces of the kernel, without any right but an ordinary user's."""

from __future__ import annotations

from fargate_driver.local.runtimes.supervised import SupervisedRuntime


class UserRuntime(SupervisedRuntime):
    """Tasks in their own PID and mount namespaces, on the host's network.

    Each has an address in 127.64.0.0/10, its own /builds, /cache, /tmp and /dev, reaches the host's
    loopback, and sees the host's file system through overlays: its writes vanish with it. As root,
    `apt-get install` works in it. As another user the kernel must allow user namespaces, the job
    runs as that user. Needs OpenSSH's server and Linux 5.12.
    """

    name = "user"
