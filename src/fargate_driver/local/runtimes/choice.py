"""Find the runtime to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.base import Runtime, RuntimeUnavailableError
from fargate_driver.local.runtimes.namespace import NamespaceRuntime
from fargate_driver.local.runtimes.podman import PodmanRuntime
from fargate_driver.local.runtimes.process import ProcessRuntime
from fargate_driver.local.runtimes.user import UserRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RUNTIMES: dict[str, Callable[[Path], Runtime]] = {
    runtime.name: runtime
    for runtime in (PodmanRuntime, NamespaceRuntime, UserRuntime, ProcessRuntime)
}
_AUTOMATIC = (UserRuntime, ProcessRuntime)


async def choose(name: str, directory: Path, note: Callable[[str], None]) -> Runtime:
    """Return a runtime that works here: it has been tried.

    `auto` is `user`, or else `process`, and none of the others: a job that is tried locally must
    reach the host's loopback and the tools on the caller's PATH, which only these two promise.

    Args:
        name: auto, podman, namespace, user or process.
        directory: the embedded Fargate's own; made if missing, and hidden from isolated tasks.
        note: told in one line what was chosen, and why a better one was not.

    Raises:
        RuntimeUnavailableError: it does not work, or none of `auto`'s; with the reason.
    """
    if name != "auto":
        if name not in _RUNTIMES:
            raise RuntimeUnavailableError(
                f"there is no runtime {name!r}: use auto, podman, namespace, user or process"
            )
        runtime = _RUNTIMES[name](directory)
        try:
            await runtime.probe()
        except RuntimeUnavailableError as error:
            raise RuntimeUnavailableError(f"the {name} runtime does not work: {error}") from None
        note(f"runtime: {name}")
        return runtime
    problems = []
    for candidate in _AUTOMATIC:
        runtime = candidate(directory)
        try:
            await runtime.probe()
        except RuntimeUnavailableError as error:
            problems.append(f"the {runtime.name} runtime does not work: {error}")
            continue
        note("; ".join([f"runtime: {runtime.name}", *problems]))
        return runtime
    raise RuntimeUnavailableError("; ".join(problems))
