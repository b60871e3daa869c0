"""From flags, the job's choice and the file to settings, or to all that is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from fargate_driver.errors import JobConfigurationError
from fargate_driver.settings import values
from fargate_driver.settings.file import ConfigurationError, find
from fargate_driver.settings.keys import Keys
from fargate_driver.settings.model import LISTS, SECTIONS, Costs, Settings, keys_of

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
_PATHS = (
    ("", "LogFile"),
    ("TaskMetadata", "Directory"),
    ("Costs", "PriceFile"),
    ("Metrics", "TextFile"),
)
# The variables by which a job chooses, and the section and key that each replaces.
JOB_VARIABLES = {variable: (section, name) for section, name, _, variable in _OVERRIDES if variable}


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
            the file, and a task definition or an image must be known in the end. For prepare
            alone: the other stages must not fail, or do something else, over a variable of the job.

    Raises:
        ConfigurationError: Nothing usable; all mistakes at once, a line each.
        JobConfigurationError: Only the job's variables are wrong.
    """
    document = find(flags.config)
    keys = Keys(document.path, document.content)
    # Stages are called in folders that vanish: what the file names counts from the file's own.
    folder = Path(document.path).absolute().parent
    keys.content["Costs"].setdefault("PriceFile", str(Costs().price_file))
    for section, name in _PATHS:
        table = keys.content.get(section) if section else keys.content
        if isinstance(table, dict) and isinstance(table.get(name), str) and table[name]:
            table[name] = str(folder / table[name])
    origins = _override(keys, flags, env)
    settings, mistakes, job_mistakes = _validate(keys, origins)
    if settings:
        mistakes += _missing(keys, settings, env)
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    if job_mistakes or not settings:
        raise JobConfigurationError("\n".join(job_mistakes))
    warnings = [*document.skipped, *keys.warnings]
    if settings.fargate.use_public_ip and not settings.fargate.enable_public_ip:
        # The Go driver takes it, so files have it.
        where = keys.where("Fargate", "UsePublicIP")
        warnings.append(f"{where}: ignored: without EnablePublicIP a task has no public address")
    return Loaded(settings, document.path, warnings, _doubled(env) if env else [])


def _override(
    keys: Keys, flags: Flags, env: RunnerEnvironment | None
) -> dict[tuple[str, str], str]:
    """Put what beats the file in its place; by section and key, the flag or variable it is."""
    origins: dict[tuple[str, str], str] = {}
    for section, name, flag, variable in _OVERRIDES:
        value = getattr(flags, flag)
        origin = "--" + flag.replace("_", "-")
        if value is None and variable and env:
            value, origin = env.variable(variable) or None, variable
        if value is not None:
            (keys.content[section] if section else keys.content)[name] = value
            origins[section, name] = origin
    if ("Fargate", "PlatformVersion") in origins:
        # What beats the file beats all of it.
        for entry in keys.content["Capacity"]:
            entry.pop("PlatformVersion", None)
    if flags.debug:
        keys.content["LogLevel"] = "debug"
    keys.content["chosen_by_job"] = frozenset(JOB_VARIABLES.keys() & origins.values())
    return origins


def _validate(
    keys: Keys, origins: dict[tuple[str, str], str]
) -> tuple[Settings | None, list[str], list[str]]:
    mistakes, job_mistakes = list(keys.mistakes), []
    settings = None
    try:
        settings = Settings.model_validate(keys.content)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            section, number, name = _key(found["loc"])
            key = keys_of(section)[name]
            where = origins.get((section, name)) or keys.where(section, name, number)
            line = f"{where}: {_wrong(found)}; allowed: {key.allowed}"
            if where in JOB_VARIABLES:
                job_mistakes.append(f"variable {line}")
            elif not any(mistake.startswith(where + ":") for mistake in mistakes):
                mistakes.append(line)
    return settings, mistakes, job_mistakes


def _missing(keys: Keys, settings: Settings, env: RunnerEnvironment | None) -> list[str]:
    """What must be there because of something else; a line for each."""
    images = settings.images
    found = []
    image = images.enabled and env and (images.default_image or env.variable("CI_JOB_IMAGE"))
    if env and not settings.fargate.task_definition and not image:
        allowed = keys_of("Fargate")["TaskDefinition"].allowed
        instead = ["the variable FARGATE_TASK_DEFINITION in the job"]
        if images.enabled:
            instead += ["an image: in the job", "[Images] DefaultImage"]
        where = keys.where("Fargate", "TaskDefinition")
        found.append(f"{where}: is missing; allowed: {allowed}; or {', or '.join(instead)}")
    cache = settings.cache_dir
    wrong = {
        ("Images", "HelperImage"): images.enabled and not settings.helper_image and "is missing",
        ("Images", "HelperSSHPort"): images.ssh_port == images.helper_ssh_port and "is SSHPort too",
        ("Fargate", "CacheDir"): cache
        and cache == settings.builds_dir
        and f"is BuildsDir too ({values.shown(cache)})",
    }
    for (section, name), what in wrong.items():
        if what:
            where, allowed = keys.where(section, name), keys_of(section)[name].allowed
            found.append(f"{where}: {what}; allowed: {allowed}")
    return found


def _key(location: tuple[int | str, ...]) -> tuple[str, int | None, str]:
    """Section, which of them where there may be several, and key."""
    first, *more = location
    if first not in SECTIONS:
        return "", None, str(first)
    if first in LISTS:
        # The place of a default's mistake has the field's own name.
        field = SECTIONS[str(first)].model_fields.get(str(more[1]))
        return str(first), int(more[0]), str(field.alias if field else more[1])
    return str(first), None, str(more[0])


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
