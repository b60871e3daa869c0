"""What a job chooses by variables about the size and place of its task.

Each is off until `[Allow]` in the runner's configuration lets jobs choose it. Where neither that
nor `[Images]` is used, such a variable may mean something else to those who set it, and didn't
matter to the Go driver: it is told and ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.ecs import sizes
from fargate_driver.ecs.patterns import any_matches
from fargate_driver.errors import JobConfigurationError
from fargate_driver.settings.values import ROLE, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fargate_driver.gitlab.environment import RunnerEnvironment
    from fargate_driver.settings import Settings

_ROLE = re.compile(ROLE)
_ARCHITECTURES = ("X86_64", "ARM64")


class Choices(NamedTuple):
    """What a job chose; None for what it left open.

    Attributes:
        cpu: CPU units.
        memory: MiB.
        storage: GiB of ephemeral storage.
        architecture: X86_64 or ARM64.
        architecture_by: What of the job asks for that.
        capacity: The name of entries of `[[Capacity]]`.
        task_role: A role's ARN.
        most_cpu: CPU units that the job may have.
        most_memory: MiB that it may have.
        warnings: For the job's author.
    """

    cpu: int | None
    memory: int | None
    storage: int | None
    architecture: str | None
    architecture_by: str
    capacity: str | None
    task_role: str | None
    most_cpu: int
    most_memory: int
    warnings: tuple[str, ...]

    def settings(self, config: Settings) -> Settings:
        """The settings with the one capacity that the job chose."""
        if not self.capacity:
            return config
        entries = [entry for entry in config.capacity if entry.label == self.capacity]
        return config.model_copy(update={"capacity": entries})

    def check_architecture(self, usual: str, allowed: Collection[str]) -> None:
        """Judge the processors once it is known which ones the job gets anyway.

        Args:
            usual: Those of tasks whose job asks for none.
            allowed: What `[Allow] Architectures` says.

        Raises:
            JobConfigurationError: The job may not have those it asks for.
        """
        if self.architecture and self.architecture not in {usual, *allowed}:
            what = f"{shown(self.architecture)} {_forbidden('Architectures')}"
            raise JobConfigurationError(_line(self.architecture_by, what))

    def overrides(self, cpu: int, memory: int) -> dict[str, Any]:
        """What RunTask's `overrides` say about the whole task.

        Args:
            cpu: The CPU units of the task definition, for a job that chose memory alone.
            memory: Its MiB of memory, for a job that chose CPU alone.

        Raises:
            JobConfigurationError: What it chose, and the rest, is no size of a task.
        """
        found: dict[str, Any] = {}
        if self.cpu or self.memory:
            cpu, memory = self._size(cpu, memory)
            found |= {"cpu": str(cpu), "memory": str(memory)}
        if self.storage:
            found["ephemeralStorage"] = {"sizeInGiB": self.storage}
        if self.task_role:
            found["taskRoleArn"] = self.task_role
        return found

    def _size(self, cpu: int, memory: int) -> tuple[int, int]:
        # What the operator gives every task is not too much for one that chooses the rest.
        most = {
            "most_cpu": max(self.most_cpu, cpu),
            "most_memory": max(self.most_memory, memory),
        }
        wanted = (self.cpu or cpu, self.memory or memory)
        if sizes.is_size(*wanted):
            return wanted
        alone = not (self.cpu and self.memory)
        if alone and (size := sizes.completed(*wanted, **most, keep_cpu=bool(self.cpu))):
            return size
        both = ("FARGATE_CPU", self.cpu), ("FARGATE_MEMORY", self.memory)
        names = [name for name, value in both if value]
        what = f"variable{'s' * (len(names) - 1)} {' and '.join(names)}"
        near = sizes.nearest(*wanted, **most)
        raise JobConfigurationError(
            f"{what}: Fargate has no tasks of {_shown_size(*wanted)}"
            + (f"; the nearest that is allowed: {_shown_size(*near)}" if near else "")
        )


def choose(
    config: Settings, env: RunnerEnvironment, *, derived: bool, platform: str | None = None
) -> Choices:
    """Read and check the variables.

    Args:
        config: The settings.
        env: The call's environment.
        derived: Whether the driver makes the task definition, so that all of it can be chosen.
        platform: The architecture that `image: docker: platform:` asks for, as ECS calls it.

    Raises:
        JobConfigurationError: Something is not allowed or makes no sense; a line for each.
    """
    reader = _Reader(config, env)
    choices = reader.read(derived=derived, platform=platform)
    if reader.mistakes:
        raise JobConfigurationError("\n".join(reader.mistakes))
    return choices


class _Reader:
    def __init__(self, config: Settings, env: RunnerEnvironment) -> None:
        self._config = config
        self._env = env
        self._warnings: list[str] = []
        self.mistakes: list[str] = []

    def read(self, *, derived: bool, platform: str | None) -> Choices:
        allow = self._config.allow
        cpu = self._amount("FARGATE_CPU", "MaxCPU", allow.max_cpu, _CPU)
        memory = self._amount("FARGATE_MEMORY", "MaxMemory", allow.max_memory, _MEMORY)
        storage = self._amount(
            "FARGATE_EPHEMERAL_STORAGE",
            "MaxEphemeralStorage",
            allow.max_ephemeral_storage,
            _STORAGE,
        )
        if not derived and bool(cpu) != bool(memory) and not self.mistakes:
            given, other = ("FARGATE_CPU", "FARGATE_MEMORY")[:: 1 if cpu else -1]
            self._wrong(given, f"needs {other} beside it, since the job chose no image:")
        value = self._env.variable("FARGATE_ARCHITECTURE")
        where = "FARGATE_ARCHITECTURE" if value else "image: docker: platform"
        return Choices(
            cpu=cpu,
            memory=memory,
            storage=storage,
            architecture=self._architecture(where, value or platform, derived=derived),
            architecture_by=where,
            capacity=self._capacity(),
            task_role=self._task_role(),
            most_cpu=allow.max_cpu or 0,
            most_memory=allow.max_memory or 0,
            warnings=tuple(self._warnings),
        )

    def _wrong(self, where: str, what: str) -> None:
        self.mistakes.append(_line(where, what))

    def _not_allowed(self, name: str, value: str, key: str) -> None:
        if self._may_be_ignored(key):
            ignored = f"{shown(value)} is ignored: it {_forbidden(key)}"
            self._warnings.append(_line(name, ignored))
        else:
            self._wrong(name, f"{shown(value)} {_forbidden(key)}")

    def _may_be_ignored(self, key: str) -> bool:
        allow = self._config.allow
        given = {type(allow).model_fields[name].alias for name in allow.model_fields_set}
        return not self._config.images.enabled and key not in given

    def _amount(self, name: str, key: str, most: int | None, kind: _Kind) -> int | None:
        value = self._env.variable(name)
        if not value:
            return None
        if most is None:
            self._not_allowed(name, value, key)
            return None
        number = kind.read(value)
        near = kind.nearest(number or 0, most)
        allowed = f"allowed: {kind.form}, up to {kind.shown(most)}"
        if number is not None and number > most:
            self._wrong(
                name, f"{shown(value)} is more than [Allow] {key} lets jobs have; {allowed}"
            )
        elif number is None:
            self._wrong(name, f"{shown(value)} is no amount; {allowed}")
        elif number != near:
            nearest = f"the nearest: {kind.shown(near)}"
            self._wrong(name, f"Fargate has no tasks with {shown(value)}; {nearest}; {allowed}")
        else:
            return number
        return None

    def _architecture(self, where: str, wanted: str | None, *, derived: bool) -> str | None:
        """Those that the job asks for, which Choices.check_architecture judges."""
        if not wanted:
            return None
        if not derived:
            if where == "FARGATE_ARCHITECTURE" and self._may_be_ignored("Architectures"):
                self._not_allowed(where, wanted, "Architectures")
            elif where == "FARGATE_ARCHITECTURE":
                self._wrong(where, "needs an image: in the job; the task definition names it here")
        elif wanted.upper() in _ARCHITECTURES:
            return wanted.upper()
        else:
            known = " and ".join(_ARCHITECTURES)
            self._wrong(where, f"{shown(wanted)} is not one of {known}")
        return None

    def _capacity(self) -> str | None:
        name = "FARGATE_CAPACITY"
        value = self._env.variable(name)
        if not value:
            return None
        labels = [entry.label for entry in self._config.capacity]
        patterns = self._config.allow.capacities
        allowed = [label for label in dict.fromkeys(labels) if any_matches(patterns, label)]
        if value in allowed:
            return value
        if not allowed:
            self._not_allowed(name, value, "Capacities")
        else:
            self._wrong(name, f"{shown(value)} can't be chosen here; allowed: {', '.join(allowed)}")
        return None

    def _task_role(self) -> str | None:
        name = "FARGATE_TASK_ROLE"
        value = self._env.variable(name)
        patterns = self._config.allow.task_roles
        if not value:
            return None
        if not patterns:
            self._not_allowed(name, value, "TaskRoles")
        elif not _ROLE.fullmatch(value):
            self._wrong(name, f"{shown(value)} is no role's ARN (arn:aws:iam::ACCOUNT:role/NAME)")
        elif not any_matches(patterns, value):
            allowed = ", ".join(patterns[:10]) + (" …" if len(patterns) > 10 else "")
            self._wrong(name, f"{shown(value)} can't be chosen here; allowed: {allowed}")
        else:
            return value
        return None


def _line(where: str, what: str) -> str:
    return f"{'variable ' if where.startswith('FARGATE_') else ''}{where}: {what}"


def _forbidden(key: str) -> str:
    return f"can't be chosen on this runner; its operator allows it by [Allow] {key}"


class _Kind(NamedTuple):
    """How one kind of amount is read and shown.

    Attributes:
        read: From what ECS takes; None for anything else.
        nearest: The closest one that Fargate has, up to a most.
        shown: For people.
        form: How it is written.
    """

    read: Callable[[str], int | None]
    nearest: Callable[[int, int], int]
    shown: Callable[[int], str]
    form: str


_CPU = _Kind(
    sizes.cpu_units,
    sizes.nearest_cpu,
    lambda units: f"{units} ({sizes.shown_cpu(units)})",
    "CPU units or vCPU",
)
_MEMORY = _Kind(
    sizes.memory_mib,
    sizes.nearest_memory,
    lambda mib: f"{mib} ({sizes.shown_memory(mib)})",
    "MiB or GB",
)
_STORAGE = _Kind(
    sizes.storage_gib,
    lambda gib, most: min(max(gib, 21), most),
    lambda gib: f"{gib} GiB",
    "GiB from 21",
)


def _shown_size(cpu: int, memory: int) -> str:
    return (
        f"{sizes.shown_cpu(cpu)} with {sizes.shown_memory(memory)}"
        f" (FARGATE_CPU {cpu}, FARGATE_MEMORY {memory})"
    )
