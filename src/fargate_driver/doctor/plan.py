"""The order of the checks: side by side where they don't depend on each other, told in order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver import settings
from fargate_driver.doctor import (
    access,
    cluster,
    definition,
    images,
    network,
    programs,
    records,
    rights,
    runner_config,
    trial,
)
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong
from fargate_driver.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fargate_driver.flags import Flags
    from fargate_driver.settings import Loaded, Settings

    Look = Callable[[], Iterable[Finding]]


class Group(NamedTuple):
    """Checks about one thing.

    Attributes:
        title: What they are about.
        findings: What they found.
    """

    title: str
    findings: list[Finding]


def play(flags: Flags, runner_config_path: Path | None, *, run: bool) -> Iterator[Group]:
    """Check everything.

    Args:
        flags: The command line's global flags.
        runner_config_path: gitlab-runner's config.toml; None for its usual place.
        run: Whether to start a task too.

    Yields:
        Each group as soon as it, and all before it, are there.
    """
    try:
        loaded = settings.load(flags)
    except ConfigurationError as error:
        mend = "see docs/configuration.md"
        mistakes = [wrong("configuration", line, mend) for line in str(error).splitlines()]
        yield Group("Configuration", mistakes)
        yield Group("Everything else", [unchecked("all", "it needs a configuration that is right")])
        return
    yield Group("Configuration", _configuration(loaded))
    config = loaded.settings
    with ThreadPoolExecutor() as pool:

        def begin(title: str, look: Look) -> Callable[[], Group]:
            future = pool.submit(lambda: list(look()))
            return lambda: Group(title, _result(title, future.result))

        here = [
            begin(
                "This host", lambda: [*records.look(config.task_metadata.directory), programs.ssh()]
            ),
            begin(
                "gitlab-runner",
                lambda: runner_config.look(runner_config_path, config, loaded.path),
            ),
        ]
        reach = access.look(config)
        yield Group("AWS", reach.findings)
        for group in [*_of_aws(reach, config, begin), *here]:
            found = group()
            if found.findings:
                yield found
    if run:
        why = "something is wrong that a task needs"
        blocked = bool(reach.blocked)
        yield Group("A task", [unchecked("run", why) if blocked else trial.run(config)])


def _configuration(loaded: Loaded) -> list[Finding]:
    # A file of gitlab-runner's own that was passed over is no mistake of this one.
    ignored = [line for line in loaded.warnings if not line.endswith("skipped")]
    if ignored:
        return [wrong("configuration", line, "see docs/configuration.md") for line in ignored]
    return [ok("configuration", loaded.path)]


def _of_aws(
    reach: access.Access, config: Settings, begin: Callable[[str, Look], Callable[[], Group]]
) -> list[Callable[[], Group]]:
    titles = ("Cluster", "Task definition", "Image mode", "Network", "Rights")
    aws = reach.aws
    if aws is None:
        blocked = [unchecked("all", reach.blocked)]
        return [lambda title=title: Group(title, blocked) for title in titles]  # type: ignore[misc]
    described = definition.describe(aws, config.fargate.task_definition)
    base = definition.describe(aws, config.images.base_task_definition or "")
    looks: tuple[Look, ...] = (
        lambda: cluster.look(aws, config, reach.tasks),
        lambda: definition.look(described, config),
        lambda: images.look(base, config),
        lambda: network.look(aws, config),
        lambda: rights.look(aws, config, reach, described, base),
    )
    return [begin(title, look) for title, look in zip(titles, looks, strict=True)]


def _result(title: str, result: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return result()
    except Exception as error:  # noqa: BLE001 - a mistake in one check must not hide the others
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return [unchecked(title.lower(), f"internal error: {text} (please report this)")]
