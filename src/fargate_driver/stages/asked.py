"""What a job asks for, as RunTask gets it: its image, services, size and place."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from fargate_driver.console import say, warn
from fargate_driver.ecs import definitions, derive, reference, words
from fargate_driver.ecs.container_size import NoRoomError, fitted
from fargate_driver.ecs.errors import EcsError, TaskStoppedError
from fargate_driver.ecs.overrides import overrides
from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab import choices, images

if TYPE_CHECKING:
    from fargate_driver.ecs.client import Ecs
    from fargate_driver.ecs.definitions import Definitions
    from fargate_driver.gitlab.choices import Choices
    from fargate_driver.gitlab.environment import RunnerEnvironment
    from fargate_driver.gitlab.images import JobImages
    from fargate_driver.gitlab.services import Service
    from fargate_driver.settings import Settings

_LOGGER = logging.getLogger(__name__)
_WORTH_A_WORD = 2.0
"""Seconds that finding the task definition may take before the job's log mentions it."""


def read(config: Settings, env: RunnerEnvironment) -> Asked:
    """Read and check what a job asks for.

    Args:
        config: the settings.
        env: the call's environment.

    Raises:
        JobConfigurationError: it asks for what is not allowed or makes no sense; a line each.
        DriverError: the job response is missing or unreadable.
    """
    found = images.wanted(config, env)
    platform = found.architecture if found else None
    chosen = choices.choose(config, env, derived=found is not None, platform=platform)
    return Asked(chosen.settings(config), found, chosen)


class Asked:
    """What a job's task is made of.

    Args:
        config: the settings, with the capacity that the job chose.
        job_images: what it runs in; None for the task definition that the settings name.
        chosen: its size and the like.

    Attributes:
        config: the same.
        images: the same as `job_images`.
        chosen: what the job's author chose, for the verdict (values of verdict.Chosen).
        definition: the task definition as far as it is known, once it is resolved.
    """

    def __init__(self, config: Settings, job_images: JobImages | None, chosen: Choices) -> None:
        self.config = config
        self.images = job_images
        own = job_images and (
            job_images.services or job_images.image.name != config.images.default_image
        )
        self.chosen = config.chosen_by_job | ({"image"} if own else set())
        self._choices = chosen
        self._definitions: definitions.Definitions | None = None
        self.definition: dict[str, Any] = {}
        self._name: str | None = None
        self._tags: dict[str, str] = {}

    def resolve(self, ecs: Ecs, deadline: float) -> None:
        """Find the derived task definition, or register it.

        Where the settings name one, it is read if the job chose another size.

        Args:
            ecs: the client.
            deadline: until when (time.monotonic).

        Raises:
            JobConfigurationError: what the job asks for can't be one task.
            DriverError: ECS refuses.
        """
        known = definitions.Definitions(ecs, self.config.task_metadata.directory, deadline)
        if self.images:
            self._derive(self.images, known)
        elif self._choices.cpu or self._choices.memory:
            name = self.config.fargate.task_definition
            try:
                self.definition = known.base(name, tags=False).content
            except EcsError as error:
                warn(
                    f"FARGATE_CPU and FARGATE_MEMORY: where the container has limits of its own,"
                    f" they stay, since its task definition can't be read: {error}"
                )

    def _derive(self, job_images: JobImages, known: Definitions) -> None:
        begun = time.monotonic()
        name = self.config.images.base_task_definition
        base = known.base(name, tags=self.config.fargate.propagate_tags) if name else None
        if base and (lost := base.lost(self.config.fargate.container_name)):
            _LOGGER.warning("[Images] BaseTaskDefinition %s: not kept: %s", name, lost)
        usual = derive.usual_architecture(self.config, base)
        self._choices.check_architecture(usual, self.config.allow.architectures)
        self._tags = base.tags if base else {}
        self.definition = derive.derive(self.config, job_images, self._choices.architecture, base)
        self._name = known.find(self.definition)
        self._definitions = known
        if (took := time.monotonic() - begun) > _WORTH_A_WORD:
            say(f"the task definition {self._name} was found after {took:.0f} s")

    def is_gone(self, error: EcsError) -> bool:
        """Whether a launch failed since somebody deregistered the derived task definition.

        Then it is forgotten; `resolve` finds or registers another.

        Args:
            error: what ended the launch.
        """
        if not (self._definitions and self._name):
            return False
        if not definitions.is_gone(error):
            return False
        self._definitions.forget(self._name)
        return True

    @property
    def essential(self) -> list[str]:
        """The containers whose end ends the task; none where that isn't known."""
        containers = self.definition.get("containerDefinitions", ())
        return [str(one["name"]) for one in containers if one.get("essential", True)]

    def blamed(self, error: EcsError | TaskStoppedError) -> DriverError:
        """A launch's failure, told to whoever can mend it.

        Args:
            error: what ended the launch.

        Returns:
            A JobConfigurationError only where all that is known to have failed was chosen by the
            job's author; else the operator's failure, with the key in the settings as far as it is
            known.
        """
        # A start that goes well pays nothing for the table of verdicts.
        from fargate_driver.ecs.verdict import Chosen

        chosen = error.verdict.chosen if error.verdict else None
        if chosen and chosen is not Chosen.IMAGE:
            fargate = self.config.fargate
            definition = chosen is Chosen.TASK_DEFINITION
            value = fargate.task_definition if definition else fargate.platform_version
            return JobConfigurationError(f"{chosen} {value}: {error}")
        failed = self._failed(error)
        for name in failed:
            if key := self._operators(name):
                return DriverError(f"[Images] {key}: {error}")
        if chosen and failed:
            return JobConfigurationError(f"{self._authors(failed[0])}: {error}")
        return error

    def is_authors(self, container: str) -> bool:
        """Whether the job's author chose the image of a container.

        Args:
            container: its name.
        """
        return self.images is not None and not self._operators(container)

    def _failed(self, error: EcsError | TaskStoppedError) -> list[str]:
        """The containers whose images can't be used, as far as ECS tells.

        It gives them a reason, but not always: then the task's own may name the image.
        """
        if not self.images or not isinstance(error, TaskStoppedError):
            return []
        containers = error.task.get("containers") or ()
        if found := [str(one.get("name")) for one in containers if one.get("reason")]:
            return found
        image = words.image_in(error.verdict.raw) if error.verdict else None
        if not image:
            return []
        return [
            str(one["name"])
            for one in self.definition["containerDefinitions"]
            if _repository(one["image"]) == _repository(image)
        ]

    def _operators(self, container: str) -> str:
        """The key in the settings that a container's image comes from; "" for the author's."""
        if container in (derive.INJECTOR_CONTAINER, derive.HELPER_CONTAINER):
            return "HelperImage"
        if self.images and container == self.config.fargate.container_name:
            default = self.images.image.name == self.config.images.default_image
            return "DefaultImage" if default else ""
        return "" if self._service(container) else "BaseTaskDefinition"

    def _authors(self, container: str) -> str:
        if service := self._service(container):
            return f"service {service.name}"
        return f"image {self.images.image.name if self.images else ''}"

    def _service(self, container: str) -> Service | None:
        services = self.images.services if self.images else ()
        return next((one for one in services if one.container == container), None)

    def parameters(self, public_key: str, lifetime: int) -> dict[str, Any]:
        """What `launch.request` needs to know of it.

        Args:
            public_key: the job's public key, one line.
            lifetime: seconds after which the task ends by itself.

        Raises:
            JobConfigurationError: it is more than RunTask takes, or no size that Fargate has.
        """
        # Where nothing is known of the task definition, a job that chose CPU or memory chose both.
        size = [int(self.definition.get(key, 0)) for key in ("cpu", "memory")]
        task = self._choices.overrides(*size)
        limits = self._limits(task)
        if not self.images:
            return {"overrides": task, "limits": limits}
        found = overrides(self.config, self.images, public_key, lifetime, task=task, limits=limits)
        return {"definition": self._name, "overrides": found, "tags": self._tags}

    def _limits(self, task: dict[str, Any]) -> dict[str, int]:
        """Those of the job's container, as far as the size of its task changes them."""
        if "cpu" not in task:
            return {}
        name = self.config.fargate.container_name
        try:
            return fitted(self.definition, name, int(task["cpu"]), int(task["memory"]))
        except NoRoomError as error:
            raise JobConfigurationError(
                f"variables FARGATE_CPU and FARGATE_MEMORY: {error}"
            ) from error

    def say_warnings(self) -> None:
        """Tell the job's author what of it comes out otherwise than on other executors."""
        of_images = self.images.warnings if self.images else ()
        for warning in (*of_images, *self._choices.warnings):
            warn(warning)


def _repository(image: str) -> str:
    """An image's name as registries know it: ECS may add to what was asked for, or leave it out."""
    try:
        return reference.parse(image).repository
    except ValueError:
        return image
