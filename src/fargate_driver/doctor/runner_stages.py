"""Whether the four stages of a `[[runners]]` call this driver."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_driver import __version__
from fargate_driver.doctor.finding import Finding, ok, wrong
from fargate_driver.flags import STAGES, UsageError, parse
from fargate_driver.settings.file import CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 10
"""Seconds for `fargate --version`."""
_ALIASES = {alias: name for name, alias, _, _ in STAGES if alias}
_SYSTEM_WIDE = CANDIDATES[-1]


def names(runner: dict[str, Any], config_path: str) -> bool:
    """Whether a runner calls a driver with this configuration, in any stage.

    Args:
        runner: An entry of `[[runners]]`.
        config_path: The configuration.
    """
    return any(
        _same(named, config_path)
        for stage, _, _, _ in STAGES
        if (named := _named(_args(runner, stage))) is not None
    )


def table(runner: dict[str, Any]) -> dict[str, Any]:
    """`[runners.custom]` of a runner, empty where there is none.

    Args:
        runner: An entry of `[[runners]]`.
    """
    custom = runner.get("custom")
    return custom if isinstance(custom, dict) else {}


def check(runner: dict[str, Any], config_path: str, where: str) -> Finding:
    """Check the four stages.

    Args:
        runner: An entry of `[[runners]]`.
        config_path: The configuration that they should name.
        where: How what is found begins.
    """
    problems = list(_problems(runner, config_path))
    if problems:
        return wrong(
            "runner-stages",
            f"{where}{'; '.join(problems)}",
            "set STAGE_exec to the path of fargate, and STAGE_args ="
            f' ["--config", "{Path(config_path).absolute()}", "custom", "STAGE"], in'
            " [runners.custom] for each STAGE of config, prepare, run and cleanup",
        )
    return ok("runner-stages", f"{where}all four call fargate {__version__} with this file")


def _problems(runner: dict[str, Any], config_path: str) -> Iterator[str]:
    custom = table(runner)
    versions: dict[str, str] = {}
    for stage, _, _, _ in STAGES:
        program = custom.get(f"{stage}_exec")
        if not isinstance(program, str) or not program:
            yield f"{stage}_exec is missing"
            continue
        if program not in versions:
            versions[program] = _version(program)
        if versions[program]:
            yield f"{stage}_exec: {versions[program]}"
        args = _args(runner, stage)
        try:
            _, words = parse(list(args))
        except UsageError as error:
            yield f"{stage}_args: {error}"
            continue
        if words[:1] not in (["custom"], ["c"]) or len(words) != 2:
            told = " ".join(words)[:60]
            yield f"{stage}_args must end with custom and {stage}, and end with {told!r}"
        elif _ALIASES.get(words[1], words[1]) != stage:
            yield f"{stage}_args call the stage {words[1][:60]}"
        named = _named(args)
        if named and not Path(named).is_absolute():
            yield f"{stage}_args: --config {named[:200]} is relative, to a folder that vanishes"
        elif named is None or not _same(named, config_path):
            yield f"{stage}_args name another file: {named[:200] if named else 'none'}"


def _args(runner: dict[str, Any], stage: str) -> list[str]:
    args = table(runner).get(f"{stage}_args")
    return [str(word) for word in args] if isinstance(args, list) else []


def _named(args: list[str]) -> str | None:
    """The configuration that a call would read; None where that depends on its folder."""
    try:
        flags, words = parse(list(args))
    except UsageError:
        return None
    if flags.config is None and words[:1] in (["custom"], ["c"]):
        return _SYSTEM_WIDE
    return flags.config


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).resolve() == Path(other).resolve()
    except (OSError, ValueError):  # no path can be like that
        return False


def _version(program: str) -> str:
    """What is wrong with a program; "" where it is this driver."""
    if "\0" in program:
        return f"{program[:200]!r} is no path"
    path = shutil.which(program)
    if not path:
        return f"{program[:200]} is no program that can be started"
    try:
        answer = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} doesn't start: {error}"
    told = answer.stdout.strip()[:60]
    if told == f"fargate {__version__}":
        return ""
    if told.startswith("fargate "):
        return f"{program[:200]} is {told!r}, and this doctor is of fargate {__version__}"
    return f"{program[:200]} is not this driver: {told!r}"
