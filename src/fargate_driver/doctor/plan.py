"""The order of the checks: side by side where they don't depend on each other, told in order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver import masking, settings
from fargate_driver.doctor import (
    access,
    cluster,
    definition,
    files,
    images,
    network,
    programs,
    records,
    rights,
    runner_config,
    trial,
)
from fargate_driver.doctor.background import begin
from fargate_driver.doctor.finding import Finding, Status, ok, unchecked, wrong
from fargate_driver.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fargate_driver.flags import Flags
    from fargate_driver.settings import Loaded, Settings

    Look = Callable[[], Iterable[Finding]]

_MEND = "every key is in docs/configuration.md"
_IMAGES = "Image mode"
_PASSED_OVER = "skipped"
_HARMLESS = {"leftovers", "log-file", "price-file", "text-file"}
"""Checks without which a task starts all the same."""


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
        Each group, in order.
    """
    try:
        loaded = settings.load(flags)
    except ConfigurationError as error:
        yield Group("Configuration", _mistakes(str(error)))
        yield Group("Everything else", [unchecked("all", "it needs a configuration that is right")])
        return
    found = _configuration(loaded)
    yield Group("Configuration", found)
    config = loaded.settings
    reaching = begin(lambda: access.look(config))
    # What makes files and processes does so in this thread, which Ctrl-C makes tidy up.
    host = _done("This host", lambda: _host(config, loaded.path))
    runner = _done(
        "gitlab-runner", lambda: runner_config.look(runner_config_path, config, loaded.path)
    )
    reach = reaching.result()
    needed = [Group("AWS", reach.findings), *_of_aws(reach, config), host]
    needed = [Group(one.title, [_hidden(it) for it in one.findings]) for one in needed]
    yield from (group for group in [*needed, runner] if group.findings)
    if run:
        yield Group("A task", [_hidden(_trial(config, needed))])


def _mistakes(text: str) -> list[Finding]:
    """Each line of a ConfigurationError is a mistake, but for files that were passed over."""
    lines = [line for line in text.splitlines() if not line.endswith(_PASSED_OVER)]
    none = lines[0].startswith("no configuration file")
    mend = "write one with `fargate init`, or name it: --config FILE" if none else _MEND
    return [wrong("configuration", line, mend) for line in lines]


def _configuration(loaded: Loaded) -> list[Finding]:
    # A file of gitlab-runner's own that was passed over is no mistake of this one.
    ignored = [line for line in loaded.warnings if not line.endswith(_PASSED_OVER)]
    if ignored:
        return [wrong("configuration", line, _MEND) for line in ignored]
    return [ok("configuration", loaded.path)]


def _host(config: Settings, path: str) -> Iterator[Finding]:
    yield from records.look(config.task_metadata.directory)
    yield programs.ssh()
    yield from files.look(config, path)


def _of_aws(reach: access.Access, config: Settings) -> Iterator[Group]:
    """All that is asked of AWS, side by side."""
    titles = ("Cluster", "Task definition", _IMAGES, "Network", "Rights")
    aws = reach.aws
    if aws is None:
        for title in titles:
            if title != _IMAGES or config.images.enabled:
                yield Group(title, [unchecked("all", reach.blocked)])
        return
    describing = begin(lambda: definition.describe(aws, config.images.base_task_definition or ""))
    described = definition.describe(aws, config.fargate.task_definition)
    base = describing.result()
    looks: tuple[Look, ...] = (
        lambda: cluster.look(aws, config, reach.tasks),
        lambda: definition.look(described, config),
        lambda: images.look(aws, base, config),
        lambda: network.look(aws, config),
        lambda: rights.look(aws, config, reach, described, base),
    )
    begun = [begin(partial(_done, title, look)) for title, look in zip(titles, looks, strict=True)]
    yield from (group.result() for group in begun)


def _trial(config: Settings, needed: list[Group]) -> Finding:
    """Start a task, unless it is known to fail: a wait of minutes would tell nothing more."""
    found = [one for group in needed for one in group.findings if one.check not in _HARMLESS]
    first = next((one for one in found if one.status is Status.WRONG), None)
    if first:
        return unchecked("run", f"first mend what a task needs: {first.check}")
    if any(one.check == "all" for one in found):
        return unchecked("run", "AWS can't be called")
    return trial.run(config)


def _hidden(finding: Finding) -> Finding:
    found, mend = masking.whole(finding.found), masking.whole(finding.mend)
    return replace(finding, found=found, mend=mend)


def _done(title: str, look: Look) -> Group:
    found: list[Finding] = []
    try:
        for one in look():
            found.append(one)  # noqa: PERF402 - what was found before a mistake stays
    except Exception as error:  # noqa: BLE001 - a mistake in one check must not hide the others
        text = " ".join(f"{type(error).__name__}: {error}".split())
        found.append(wrong(title.lower(), f"internal error: {text}", "please report this"))
    return Group(title, found)
