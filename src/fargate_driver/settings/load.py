"""From flags, the job's choice and the file to settings, or to all that is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from fargate_driver.errors import JobConfigurationError
from fargate_driver.settings import values
from fargate_driver.settings.file import ConfigurationError, find
from fargate_driver.settings.keys import Keys
from fargate_driver.settings.model import SECTIONS, Settings, keys_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from fargate_driver.flags import Flags
    from fargate_driver.gitlab.environment import RunnerEnvironment

# Section and key that a flag replaces, the flag, and the job's variable that may replace it too.
_OVERRIDES = (
    ("", "LogLevel", "log_level", None),
    ("", "LogFormat", "log_format", None),
    ("", "LogFile", "log_file", None),
    ("Fargate", "TaskDefinition", "task_def", "FARGATE_TASK_DEFINITION"),
    ("Fargate", "PlatformVersion", "platform_version", "FARGATE_PLATFORM_VERSION"),
)
JOB_VARIABLES = tuple(variable for *_, variable in _OVERRIDES if variable)


class Loaded(NamedTuple):
    """Settings and what to tell about them.

    Attributes:
        settings: The settings with flags, and the job's choice where asked for, applied.
        path: The file that they are from.
        warnings: For the operator: what in the file is ignored.
        job_warnings: For the author of the job: what in its variables has no effect.
    """

    settings: Settings
    path: str
    warnings: list[str]
    job_warnings: list[str]


def load(flags: Flags, env: RunnerEnvironment | None = None) -> Loaded:
    """Find, read and check the configuration.

    Args:
        flags: They beat all else.
        env: With it, the job's variables FARGATE_TASK_DEFINITION and FARGATE_PLATFORM_VERSION beat
            the file, and a task definition must be known in the end. For prepare alone: the other
            stages must not fail, or do something else, over a variable of the job.

    Raises:
        ConfigurationError: Nothing usable; all mistakes at once, a line each.
        JobConfigurationError: Only the job's variables are wrong.
    """
    document = find(flags.config)
    keys = Keys(document.path, document.content)
    origins: dict[tuple[str, str], str] = {}
    for section, name, flag, variable in _OVERRIDES:
        value = getattr(flags, flag)
        origin = "--" + flag.replace("_", "-")
        if value is None and variable and env:
            value, origin = env.variable(variable) or None, variable
        if value is not None:
            (keys.content[section] if section else keys.content)[name] = value
            origins[section, name] = origin
    if flags.debug:
        keys.content["LogLevel"] = "debug"
        origins.pop(("", "LogLevel"), None)
    source = origins.get(("Fargate", "TaskDefinition"), "file")
    keys.content["task_definition_source"] = {"--task-def": "flag", "file": "file"}.get(
        source, "job"
    )
    settings, mistakes, job_mistakes = _validate(keys, origins)
    if env and settings and not settings.fargate.task_definition:
        mistakes.append(
            f"{keys.where('Fargate', 'TaskDefinition')}: is missing; allowed: "
            f"{keys_of('Fargate')['TaskDefinition'].allowed}; or {JOB_VARIABLES[0]} in the job"
        )
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    if job_mistakes or not settings:
        raise JobConfigurationError("\n".join(job_mistakes))
    warnings = [*document.skipped, *keys.warnings]
    return Loaded(settings, document.path, warnings, _doubled(env) if env else [])


def _validate(
    keys: Keys, origins: dict[tuple[str, str], str]
) -> tuple[Settings | None, list[str], list[str]]:
    mistakes, job_mistakes = list(keys.mistakes), []
    settings = None
    try:
        settings = Settings.model_validate(keys.content)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            section, name = _key(found["loc"])
            key = keys_of(section)[name]
            origin = origins.get((section, name))
            line = f"{origin or keys.where(section, name)}: {_wrong(found)}; allowed: {key.allowed}"
            if origin in JOB_VARIABLES:
                job_mistakes.append(f"variable {line}")
            elif not any(m.startswith(keys.where(section, name) + ":") for m in mistakes):
                mistakes.append(line)
    return settings, mistakes, job_mistakes


def _key(location: tuple[int | str, ...]) -> tuple[str, str]:
    first, *more = (str(part) for part in location)
    return (first, more[0]) if first in SECTIONS else ("", first)


def _wrong(found: ErrorDetails) -> str:
    if found["type"] == "missing":
        return "is missing"
    context: dict[str, Any] = found.get("ctx", {})
    if found["type"] == "value_error":
        return str(context["error"])
    return f"is {values.kind(found['input'])}"


def _doubled(env: RunnerEnvironment) -> list[str]:
    return [
        f"variable CUSTOM_ENV_{name} has no effect: gitlab-runner adds CUSTOM_ENV_ by itself; "
        f"call it {name}"
        for name in JOB_VARIABLES
        if env.variable("CUSTOM_ENV_" + name)
    ]
