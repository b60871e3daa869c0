"""What a container starts with: the rules by which Docker joins an image and a definition."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.base import RuntimeUnavailableError
from fargate_driver.local.runtimes.inside.plan import Process

if TYPE_CHECKING:
    from fargate_driver.local.image_store.config import ImageConfig
    from fargate_driver.local.runtimes.accounts import Account
    from fargate_driver.local.runtimes.base import ContainerSpec

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def first_process(
    container: ContainerSpec, config: ImageConfig, account: Account, host_name: str
) -> Process:
    """Return a container's first process.

    Args:
        container: What the task definition says.
        config: What the image says.
        account: Who it runs as.
        host_name: The container's.

    Raises:
        RuntimeUnavailableError: neither says what to run.
    """
    environment = {"PATH": _PATH, "HOSTNAME": host_name}
    for variable in config.env:
        name, _, value = variable.partition("=")
        environment[name] = value
    environment |= container.environment
    environment.setdefault("HOME", account.home)
    entry_point, command = container.entry_point, container.command
    if entry_point is None:
        entry_point = config.entrypoint
        # An image's CMD is for its own entrypoint.
        command = config.cmd if command is None else command
    arguments = [*entry_point, *(command or ())]
    if not arguments:
        raise RuntimeUnavailableError("Error response from daemon: no command specified")
    return Process(
        arguments=arguments,
        environment=environment,
        uid=account.uid,
        gid=account.gid,
        groups=account.groups,
        working_directory=container.working_directory or config.working_directory or "/",
        stop_signal=_signal(config.stop_signal or "SIGTERM"),
    )


def _signal(text: str) -> int:
    """Return the number of a signal: `15`, `TERM`, `SIGTERM` or `SIGRTMIN+3`.

    Raises:
        RuntimeUnavailableError: there is none of this name.
    """
    name, _, more = text.upper().removeprefix("SIG").partition("+")
    try:
        first = int(name) if name.isdecimal() else signal.Signals[f"SIG{name}"]
        number = first + int(more or "0")
    except (KeyError, ValueError):
        number = 0
    if number not in signal.valid_signals():
        raise RuntimeUnavailableError(f"invalid signal: {text}")
    return number
