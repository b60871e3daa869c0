"""The services of a job, and the rules by which GitLab names and awaits them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fargate_driver.gitlab.job import field
from fargate_driver.settings.values import PORTS

if TYPE_CHECKING:
    from fargate_driver.ecs.reference import Reference

HEALTH_CHECK_PORT = "HEALTHCHECK_TCP_PORT"
"""https://docs.gitlab.com/ci/services/#how-the-health-check-of-services-works"""
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Service:
    """A service beside a job.

    Attributes:
        name: Its image's name.
        aliases: The host names that it is reached by, in GitLab's order.
        container: The name of its container.
        entrypoint: In place of the image's; None for that.
        command: In place of the image's; None for that.
        secret_command: Whether the command must not stand in a task definition.
        user: Who runs it; None for the image's own.
        variables: Its environment, on top of the image's.
        ports: Where its job says by itself that it listens.
    """

    name: str
    aliases: tuple[str, ...]
    container: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    secret_command: bool = False
    user: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    ports: tuple[int, ...] = ()

    @property
    def health_check_port(self) -> int | None:
        """The port that the job wants to be awaited."""
        return next(iter(port_in(dict(self.variables).get(HEALTH_CHECK_PORT, ""))), None)


def host_names(image: Reference) -> tuple[str, str]:
    """What a service is called after its image.

    Source: https://docs.gitlab.com/ci/services/#accessing-the-services
    """
    return image.without_port.replace("/", "__"), image.without_port.replace("/", "-")


def is_host_name(alias: str) -> bool:
    """Whether an alias can stand in /etc/hosts."""
    return _HOST_NAME.fullmatch(alias) is not None


def words(value: Any) -> tuple[str, ...] | None:
    """A command of one word or more; None for anything else."""
    usable = isinstance(value, list) and value and all(isinstance(word, str) for word in value)
    return tuple(value) if usable else None


def ports_of(given: dict[str, Any]) -> list[int]:
    """The ports that a service's own `ports` name."""
    found = given.get("ports")
    numbers = [field(port, "number") for port in (found if isinstance(found, list) else [])]
    return [port for number in numbers for port in port_in(str(number))]


def port_in(value: str) -> list[int]:
    """The TCP port that a text is; none for anything else."""
    usable = value.isascii() and value.isdigit() and len(value) <= 5 and 0 < int(value) <= PORTS
    return [int(value)] if usable else []
