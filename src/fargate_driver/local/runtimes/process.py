"""The `process` runtime: works wherever sshd does, and isolates nothing."""

from __future__ import annotations

from fargate_driver.local.runtimes.supervised import SupervisedRuntime


class ProcessRuntime(SupervisedRuntime):
    """Tasks that are plain processes of the user, on addresses in 127.64.0.0/10.

    Jobs see and can change all that the user can. Ending a task ends all its processes.
    As root, /run/sshd is made if it is missing (as Debian's ssh service does) and left.
    """

    name = "process"
    isolated = False
    runs_images = False
    shares_builds = True
