"""The `user` runtime: namespaces of the kernel, without any right but an ordinary user's."""

from __future__ import annotations

import re

from fargate_driver.local.runtimes.base import RuntimeUnavailableError
from fargate_driver.local.runtimes.supervised import SupervisedRuntime


class UserRuntime(SupervisedRuntime):
    """Tasks in their own PID and mount namespaces, on the host's network.

    Each has an address in 127.64.0.0/10, its own /builds, /cache, /tmp and /dev, reaches the host's
    loopback, and sees the host's file system through overlays: its writes vanish with it. As root,
    `apt-get install` works in it. As another user the kernel must allow user namespaces, the job
    runs as that user. Needs OpenSSH's server and Linux 5.12.
    """

    name = "user"

    async def probe(self) -> None:
        """Run a trivial task, see `Runtime.probe`."""
        try:
            await super().probe()
        except RuntimeUnavailableError as error:
            if re.search("(unshare|mount|uid_map).*(not permitted|No space)", str(error)) is None:
                raise
            settings = (
                "the system, or the container that this is, keeps namespaces from this user: see"
                " kernel.unprivileged_userns_clone,"
                " user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns"
            )
            raise RuntimeUnavailableError(f"{error} ({settings})") from None
