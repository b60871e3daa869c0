"""Which image and services a job asks for, as `image:` and `services:` have it.

Source: `Image` in https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/common/spec/spec.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.ecs import reference
from fargate_driver.ecs.patterns import any_matches
from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab import job, service_variables
from fargate_driver.gitlab.job import field, table, text
from fargate_driver.gitlab.services import (
    HEALTH_CHECK_PORT,
    Service,
    host_names,
    is_host_name,
    port_in,
    ports_of,
    words,
)
from fargate_driver.gitlab.variables import Variables
from fargate_driver.settings.values import shown

if TYPE_CHECKING:
    from fargate_driver.gitlab.environment import RunnerEnvironment
    from fargate_driver.settings import Settings

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?")
_ECR_ACCOUNT = re.compile(r"^[0-9]{12}(?=\.dkr\.ecr\.)")
_ARCHITECTURES = {"linux/amd64": "X86_64", "linux/arm64": "ARM64", "linux/arm64/v8": "ARM64"}
_PLAIN = {"", "sh", "/bin/sh", "bash", "/bin/bash", "/usr/bin/bash", "-c", "/usr/bin/env"}
"""Words of an entrypoint that only opens a shell, which the driver does anyway."""
_LONGEST_HOSTS = 3000
"""Characters of all names together, which have to fit into the command of a container."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image that a job's script runs in.

    Attributes:
        name: With registry and tag as far as they are written.
        user: Who runs the script; None for whom the settings choose.
    """

    name: str
    user: str | None = None


class JobImages(NamedTuple):
    """What a job runs in.

    Attributes:
        image: For the script.
        services: Beside it.
        architecture: What `image: docker: platform:` asks for, as ECS calls it; None for nothing.
        warnings: For the job's author.
    """

    image: Image
    services: tuple[Service, ...]
    architecture: str | None
    warnings: tuple[str, ...]


def wanted(config: Settings, env: RunnerEnvironment) -> JobImages | None:
    """Read and check what a job asks for.

    Args:
        config: The settings, with the job's choice of a task definition applied.
        env: The call's environment.

    Returns:
        None where the job runs in a task definition that is there: `[Images]` is not enabled, the
        job chose a task definition, or there is no image.

    Raises:
        JobConfigurationError: The job asks for what is not allowed or makes no sense; a line each.
        DriverError: The job response is missing or unreadable.
    """
    chosen = "FARGATE_TASK_DEFINITION" in config.chosen_by_job
    if not config.images.enabled or chosen:
        return None
    response = job.response(env)
    if response is None:
        raise DriverError(
            "[Images]: gitlab-runner handed over no job response (JOB_RESPONSE_FILE), without which"
            " it is not known what is secret; update it to 14.1 or later"
        )
    return _Reader(config, env, response).read()


class _Reader:
    def __init__(self, config: Settings, env: RunnerEnvironment, response: Any) -> None:
        self._config = config
        self._response = response
        self._variables = Variables(response, env)
        self._mistakes: list[str] = []
        self._warnings: list[str] = []
        self._architectures: set[str] = set()

    def read(self) -> JobImages | None:
        image = self._image()
        if image is None:
            return None
        services = self._services()
        if len(self._architectures) > 1:
            self._mistakes.append("image: docker: platform: differs between image and services")
        if self._mistakes:
            raise JobConfigurationError("\n".join(self._mistakes))
        architecture = next(iter(self._architectures), None)
        return JobImages(image, services, architecture, tuple(self._warnings))

    def _image(self) -> Image | None:
        given = table(self._response, "image")
        name = text(given.get("name"))
        if not name:
            default = self._config.images.default_image
            return Image(default) if default else None
        self._check_name("image", name, self._config.allow.images, "Images")
        entrypoint = words(given.get("entrypoint")) or ()
        if not _PLAIN.issuperset(entrypoint):
            self._warnings.append("the image's entrypoint is not run: scripts start in a shell")
        return Image(name, self._options("image", given))

    def _services(self) -> tuple[Service, ...]:
        found = field(self._response, "services")
        services: list[Service] = []
        taken: set[str] = set()
        for given in found if isinstance(found, list) else []:
            name = text(field(given, "name"))
            if not self._check_name("services", name, self._config.allow.services, "Services"):
                continue
            aliases = tuple(a for a in self._aliases(name, given) if a not in taken)
            if not aliases:
                # As GitLab's Docker executor has it: without a name of its own nobody would use it.
                self._warnings.append(f"service {shown(name)} is there already; give it an alias")
                continue
            taken.update(aliases)
            services.append(self._service(len(services) + 1, name, aliases, given))
        self._check_ports(services)
        length = sum(len(alias) + 1 for service in services for alias in service.aliases)
        if length > _LONGEST_HOSTS:
            self._mistakes.append(
                f"services: their names are {length} characters long together; allowed:"
                f" {_LONGEST_HOSTS}; give them fewer aliases"
            )
        return tuple(services)

    def _service(
        self, number: int, name: str, aliases: tuple[str, ...], given: dict[str, Any]
    ) -> Service:
        own, command = words(given.get("entrypoint")), words(given.get("command"))
        secret = self._variables.secret_in(*(command or ()))
        if own == ("",):
            # Docker takes this as "none", ECS has no word for it.
            own, command = (command, None) if command and not secret else (None, command)
            if not own:
                self._warnings.append(
                    f"service {shown(name)}: its image's entrypoint is run; on Fargate it can only"
                    " be left out together with a command"
                )
        if found := self._variables.secret_in(*(own or ())):
            self._mistakes.append(_shown_to_all(f"entrypoint of service {shown(name)}", found))
        if secret and not self._config.images.service_secrets:
            self._mistakes.append(_shown_to_all(f"command of service {shown(name)}", secret))
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", aliases[-1])[:60].strip("-") or "x"
        variables, port = self._environment(name, given)
        awaited = variables.get(HEALTH_CHECK_PORT, "")
        if awaited and not port_in(awaited):
            self._warnings.append(
                f"service {shown(name)} is not waited for: {HEALTH_CHECK_PORT} {shown(awaited)} is"
                " no port"
            )
        return Service(
            name=name,
            aliases=aliases,
            container=f"service-{number}-{readable}",
            entrypoint=own,
            command=command,
            secret_command=bool(secret),
            user=self._options(f"service {shown(name)}", given),
            variables=tuple(variables.items()),
            ports=tuple(dict.fromkeys(ports_of(given) + port)),
        )

    def _environment(self, name: str, given: dict[str, Any]) -> tuple[dict[str, str], list[int]]:
        """The variables of a service, and the port that its own ones name."""
        made = service_variables.read(
            self._variables, given.get("variables"), secrets=self._config.images.service_secrets
        )
        if made.left_out:
            names = ", ".join(shown(key) for key in sorted(made.left_out))
            self._warnings.append(
                f"service {shown(name)} doesn't get {names}: masked, and ECS would show it to"
                " whoever may read tasks; [Images] ServiceSecrets of the runner's operator"
                " allows it"
            )
        return made.values, port_in(made.own.get(HEALTH_CHECK_PORT, ""))

    def _check_name(self, where: str, name: str, allowed: tuple[str, ...], key: str) -> bool:
        # The account of an ECR is in every ARN.
        secret = self._variables.secret_in_name(_ECR_ACCOUNT.sub("", name))
        if secret:
            self._mistakes.append(_shown_to_all(f"{where}: the name of an image", secret))
            return False
        try:
            reference.parse(name)
        except ValueError as error:
            self._mistakes.append(f"{where}: {shown(name)} {error}")
            return False
        if not any_matches(allowed, name):
            patterns = ", ".join(allowed[:10]) + (" …" if len(allowed) > 10 else "")
            self._mistakes.append(
                f"{where}: {shown(name)} may not be used on this runner; allowed"
                f" ([Allow] {key}): {patterns or 'none'}"
            )
            return False
        return True

    def _aliases(self, name: str, given: dict[str, Any]) -> list[str]:
        aliases = [*host_names(reference.parse(name))]
        for alias in text(given.get("alias")).replace(",", " ").split():
            secret = self._variables.secret_in_name(alias)
            if is_host_name(alias) and not secret:
                aliases.append(alias)
                continue
            what = f"holds the value of {secret}" if secret else f"{shown(alias)} is no host name"
            self._warnings.append(f"service {shown(name)}: its alias {what}; left out")
        return list(dict.fromkeys(aliases))

    def _options(self, where: str, given: dict[str, Any]) -> str | None:
        """Take in the platform; returns the user."""
        docker = table(given.get("executor_opts"), "docker")
        platform = self._variables.expand(text(docker.get("platform")))
        if platform in _ARCHITECTURES:
            self._architectures.add(_ARCHITECTURES[platform])
        elif platform:
            known = ", ".join(_ARCHITECTURES)
            self._wrong(f"{where}: docker: platform:", platform, f"is not one of {known}")
        given_user = docker.get("user")
        number = isinstance(given_user, int) and not isinstance(given_user, bool)
        user = self._variables.expand(shown(given_user) if number else text(given_user))
        if not user:
            return None
        secret = self._variables.secret_behind(text(given_user))
        secret = secret or self._variables.secret_in_name(user)
        if secret:
            self._mistakes.append(_shown_to_all(f"{where}: docker: user", secret))
        elif not _USER.fullmatch(user):
            allowed = "a name or number, and optionally a colon and a group"
            self._wrong(f"{where}: docker: user:", user, f"is no user; allowed: {allowed}")
        return user

    def _wrong(self, where: str, value: str, what: str) -> None:
        secret = self._variables.secret_in(value)
        told = f"{where} {shown(value)} {what}"
        self._mistakes.append(_shown_to_all(where.rstrip(":"), secret) if secret else told)

    def _check_ports(self, services: list[Service]) -> None:
        images = self._config.images
        users = {images.ssh_port: "the driver's SSH", images.helper_ssh_port: "the driver's SSH"}
        for service in services:
            name = shown(service.name)
            for port in service.ports:
                other = users.setdefault(port, name)
                if other is not name:
                    self._mistakes.append(
                        f"services: {name} and {other} both listen at port {port},"
                        " which all containers of a Fargate task share; give one another port"
                    )


def _shown_to_all(where: str, variable: str) -> str:
    return (
        f"{where} holds the value of the masked variable {variable}, and ECS would show it to"
        " whoever may read task definitions; unmask the variable, or don't use it there"
    )
