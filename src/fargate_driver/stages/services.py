"""Waiting for a job's services, and telling the job's author about those that aren't there.

As on GitLab's executors a service that fails is no failure of the job.
Source: https://docs.gitlab.com/ci/services/#how-the-health-check-of-services-works
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fargate_driver.console import say, warn
from fargate_driver.ecs.words import one_line
from fargate_driver.ssh.services import look

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fargate_driver.ecs.watch import Watch
    from fargate_driver.gitlab.services import Service
    from fargate_driver.ssh.connection import Connection
    from fargate_driver.stages.service_log import ServiceLog

_PATIENCE = 30
"""Seconds that GitLab's executors wait for services by default
(wait_for_services_timeout of https://docs.gitlab.com/runner/configuration/advanced-configuration/)."""
_SLICE = 5
"""Seconds of that after which those that have ended meanwhile are not waited for any more."""
_ANSWER = 30.0
"""Seconds for the answer itself."""


def check(
    connection: Connection, services: Sequence[Service], watcher: Watch, log: ServiceLog
) -> set[str]:
    """Wait for the ports that the job wants to be awaited; warn about what isn't there.

    Args:
        connection: To the job's container.
        services: Of the job.
        watcher: Sees the task.
        log: Shows what a service that failed wrote.

    Returns:
        The names of the containers of those that live.

    Raises:
        DriverError: The connection was lost, or the task stopped.
    """
    living = {service.container for service in services}
    if not services:
        return living
    ports = {service: service.health_check_port for service in services}
    waiting = [port for port in ports.values() if port]
    begun = time.monotonic()
    left = _PATIENCE
    while True:
        seen = look(
            connection,
            names=[alias for service in services for alias in service.aliases],
            ports=waiting,
            patience=min(left, _SLICE),
            deadline=time.monotonic() + _SLICE + _ANSWER,
        )
        left -= _SLICE
        task = watcher.look() or {}
        containers = {one.get("name"): one for one in task.get("containers") or ()}
        ended = {
            service
            for service in services
            if containers.get(service.container, {}).get("lastStatus") == "STOPPED"
        }
        waiting = [p for one, p in ports.items() if p in seen.silent and one not in ended]
        if left <= 0 or not waiting:
            break
    if any(ports.values()):
        say(f"  services   {time.monotonic() - begun:7.1f} s")
    for service, port in ports.items():
        container = containers.get(service.container, {})
        if service in ended:
            warn(f"service {service.name} ended: {state(container)}")
            living.discard(service.container)
        elif port in waiting:
            warn(
                f"service {service.name} doesn't listen at port {port} after {_PATIENCE} s"
                f" (HEALTHCHECK_TCP_PORT): {state(container)}"
            )
        else:
            continue
        log.show(service.container)
    _warn_of_names(services, seen.unknown)
    return living


def _warn_of_names(services: Iterable[Service], unknown: frozenset[str]) -> None:
    names = [
        alias
        for service in services
        if unknown.issuperset(service.aliases)
        for alias in service.aliases
    ]
    if names:
        warn(
            f"not known in the job's container, which can't write /etc/hosts since it"
            f" doesn't run as root: {', '.join(names)}; use 127.0.0.1 instead"
        )


def state(container: dict[str, Any]) -> str:
    """What ECS shows of a container."""
    words = [f"its container is {container.get('lastStatus', 'not shown by ECS')}"]
    if container.get("exitCode") is not None:
        words.append(f"exit code {container['exitCode']}")
    if container.get("reason"):
        words.append(one_line(str(container["reason"]), 300))
    return ", ".join(words)
