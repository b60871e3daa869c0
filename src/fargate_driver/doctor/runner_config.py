"""gitlab-runner's config.toml: whether it calls this driver, and gives it what it needs.

Source of keys and defaults: https://docs.gitlab.com/runner/executors/custom/ and
https://docs.gitlab.com/runner/configuration/advanced-configuration/.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor import runner_limits, runner_stages
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

DEFAULT = Path("/etc/gitlab-runner/config.toml")
_SHELLS = ("bash", "sh", "pwsh")
_MOST_GRACE = 300
"""Seconds that gitlab-runner waits for an aborted stage before it calls cleanup all the same
(WaitForBuildFinishTimeout in gitlab-runner's common/build.go)."""
_LEAST_GRACE = 20
"""Seconds in which the driver ends a script, or stops a task that starts."""
_CLEANUP = 90
"""Seconds that cleanup may need where AWS throttles its calls."""


def look(path: Path | None, config: Settings, config_path: str) -> Iterator[Finding]:
    """Check the runners that use this configuration.

    Args:
        path: The file; None for gitlab-runner's default, which may be absent.
        config: The settings.
        config_path: Where they are from.
    """
    file = path or DEFAULT
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        if path:
            yield wrong("runner-config", f"{file}: {error.strerror}", "see --runner-config")
        else:
            yield unchecked("runner-config", f"{file}: {error.strerror}; name it: --runner-config")
        return
    except ValueError as error:
        text = " ".join(str(error).split())[:200]
        yield wrong("runner-config", f"{file}: is not valid TOML: {text}", "mend its syntax")
        return
    runners = document.get("runners", [])
    if not isinstance(runners, list) or not all(isinstance(one, dict) for one in runners):
        yield wrong("runner-config", f"{file}: runners is no list", "write [[runners]] for each")
        return
    custom = [one for one in runners if one.get("executor") == "custom"]
    ours = [one for one in custom if runner_stages.names(one, config_path)]
    if not custom:
        mend = 'set executor = "custom", and [runners.custom] as in the README'
        yield wrong("runner-config", f"{file}: no runner has the custom executor", mend)
        return
    if not ours:
        yield wrong(
            "runner-config",
            f"{file}: no runner calls a driver with {config_path}",
            f'set config_args and its siblings to ["--config", "{Path(config_path).absolute()}",'
            ' "custom", …] as in the README',
        )
        return
    called = ", ".join(_name(one) for one in ours)
    yield ok("runner-config", f"{file}: {called} use{'s' if len(ours) == 1 else ''} this file")
    for runner in ours:
        where = f"{_name(runner)}: "
        yield runner_stages.check(runner, config_path, where)
        yield _directories(runner, config, where)
        yield _shell(runner, where)
        yield _times(runner, config, where)
    yield from runner_limits.look(_number(document.get("concurrent"), 1))


def _name(runner: dict[str, Any]) -> str:
    return f"runner {runner.get('name') or '(no name)'}"


def _directories(runner: dict[str, Any], config: Settings, where: str) -> Finding:
    missing = [
        f"{key} ({name})"
        for key, name, own in (
            ("builds_dir", "BuildsDir", config.builds_dir),
            ("cache_dir", "CacheDir", config.cache_dir),
        )
        if not own and not runner.get(key)
    ]
    if missing:
        return wrong(
            "runner-directories",
            f"{where}neither the runner nor fargate.toml says {', '.join(missing)}",
            'set builds_dir = "/builds" and cache_dir = "/cache" in [[runners]]',
        )
    return ok("runner-directories", f"{where}builds_dir and cache_dir are set")


def _shell(runner: dict[str, Any], where: str) -> Finding:
    shell = runner.get("shell") or "bash"
    if shell not in _SHELLS:
        mend = f"set shell to one of {', '.join(_SHELLS)}, or remove it"
        return wrong("runner-shell", f"{where}shell = {shell!r} can't run in a task", mend)
    return ok("runner-shell", f"{where}{shell}")


def _times(runner: dict[str, Any], config: Settings, where: str) -> Finding:
    custom = runner.get("custom", {})
    grace = _number(custom.get("graceful_kill_timeout"), 600)
    prepare = _number(custom.get("prepare_exec_timeout"), 3600)
    cleanup = _number(custom.get("cleanup_exec_timeout"), 3600)
    start = config.fargate.start_timeout
    found, mend = [], []
    if not _LEAST_GRACE <= grace < _MOST_GRACE:
        found.append(f"graceful_kill_timeout is {grace:g} s")
        mend.append(
            f"graceful_kill_timeout = 240 (at least {_LEAST_GRACE}, below {_MOST_GRACE}: then"
            " gitlab-runner calls cleanup although the stage still runs)"
        )
    if prepare <= start:
        found.append(f"prepare_exec_timeout is {prepare:g} s, StartTimeout {start:g} s")
        mend.append(f"prepare_exec_timeout = {start + 60:g}, or a lower [Fargate] StartTimeout")
    if cleanup < _CLEANUP:
        found.append(f"cleanup_exec_timeout is {cleanup:g} s")
        mend.append(f"cleanup_exec_timeout = {_CLEANUP} or more")
    if found:
        return wrong(
            "runner-timeouts",
            f"{where}{'; '.join(found)}",
            f"set in [runners.custom]: {'; '.join(mend)}",
        )
    return ok("runner-timeouts", f"{where}prepare {prepare:g} s, grace {grace:g} s")


def _number(value: object, default: float) -> float:
    """A number of the file; gitlab-runner refuses what isn't one, and 0 is its default."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value
    return float(value) if usable and isinstance(value, int | float) else default
