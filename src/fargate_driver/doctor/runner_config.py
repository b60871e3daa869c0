"""gitlab-runner's config.toml: whether it calls this driver, and gives it what it needs.

Source of keys and defaults: https://docs.gitlab.com/runner/executors/custom/ and
https://docs.gitlab.com/runner/configuration/advanced-configuration/.
"""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_driver.doctor import runner_limits, runner_stages
from fargate_driver.doctor.finding import Finding, ok, unchecked, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fargate_driver.settings import Settings

_LARGEST = 10**9
DEFAULT = Path("/etc/gitlab-runner/config.toml")
_SHELLS = ("bash", "sh", "pwsh")
_GRACE = 600
"""gitlab-runner's default."""
_USEFUL_GRACE = 300
"""Seconds that gitlab-runner waits for an aborted stage before it calls cleanup all the same
(WaitForBuildFinishTimeout in gitlab-runner's common/build.go). Then the driver's cleanup ends the
stage, so a longer grace does no harm, and no good."""
_LEAST_GRACE = 20
"""Seconds in which the driver ends a script, or stops a task that starts."""
_STAGE = 3600
"""gitlab-runner's default for prepare_exec_timeout and cleanup_exec_timeout."""
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
    document = _read(file, named=path is not None)
    if isinstance(document, Finding):
        yield document
        return
    runners = document.get("runners", [])
    if not isinstance(runners, list) or not all(isinstance(one, dict) for one in runners):
        mend = "write [[runners]], in double brackets, over each runner"
        yield wrong("runner-config", f"{file}: runners is no list of tables", mend)
        return
    custom = [one for one in runners if one.get("executor") == "custom"]
    ours = [one for one in custom if runner_stages.names(one, config_path)]
    if not custom:
        mend = 'set executor = "custom", and [runners.custom] as `fargate init` writes it'
        yield wrong("runner-config", f"{file}: no runner has the custom executor", mend)
        return
    if not ours:
        yield wrong(
            "runner-config",
            f"{file}: no runner calls a driver with {config_path}",
            "in [runners.custom], set config_args, prepare_args, run_args and cleanup_args to"
            f' ["--config", "{Path(config_path).absolute()}", "custom", "config"] and so on; or'
            " name the file that they call, with --config",
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
    yield runner_limits.look(file, _whole(document.get("concurrent"), 1))


def _read(file: Path, *, named: bool) -> dict[str, Any] | Finding:
    """The file's content, or why there is none; `named`: somebody says that it is there."""
    check = "runner-config"
    try:
        if stat.S_ISREG(file.stat().st_mode):
            return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
        problem = "is no file"
    except OSError as error:
        problem = f"{error.strerror}"
        if not named:
            why = f"{file}: {problem}; name gitlab-runner's file: --runner-config FILE"
            return unchecked(check, why)
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except RecursionError:
        problem = "is nested too deeply"
    except ValueError as error:
        problem = f"is not valid TOML: {' '.join(str(error).split())[:200]}"
    return wrong(check, f"{file}: {problem}", "mend it, or name another: --runner-config FILE")


def _name(runner: dict[str, Any]) -> str:
    name = runner.get("name")
    return f"runner {name[:60] if isinstance(name, str) and name else '(no name)'}"


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
    if not isinstance(shell, str) or shell not in _SHELLS:
        mend = f"set shell to one of {', '.join(_SHELLS)}, or remove it"
        return wrong(
            "runner-shell", f"{where}shell = {str(shell)[:60]!r} can't run in a task", mend
        )
    return ok("runner-shell", f"{where}{shell}")


def _times(runner: dict[str, Any], config: Settings, where: str) -> Finding:
    custom = runner_stages.table(runner)
    grace = _whole(custom.get("graceful_kill_timeout"), _GRACE)
    prepare = _whole(custom.get("prepare_exec_timeout"), _STAGE)
    cleanup = _whole(custom.get("cleanup_exec_timeout"), _STAGE)
    start = config.fargate.start_timeout
    found, mend = [], []
    if grace < _LEAST_GRACE:
        found.append(f"graceful_kill_timeout is {grace} s: a cancelled script would run on")
        mend.append(f"graceful_kill_timeout = {_LEAST_GRACE} or more, such as 240")
    if prepare <= start:
        found.append(f"prepare_exec_timeout is {prepare} s, StartTimeout {start:g} s")
        mend.append(f"prepare_exec_timeout = {start + 60:g}, or a lower [Fargate] StartTimeout")
    if cleanup < _CLEANUP:
        found.append(f"cleanup_exec_timeout is {cleanup} s")
        mend.append(f"cleanup_exec_timeout = {_CLEANUP} or more")
    if found:
        return wrong(
            "runner-timeouts",
            f"{where}{'; '.join(found)}",
            f"set in [runners.custom]: {'; '.join(mend)}",
        )
    told = f"{where}prepare {prepare} s, grace {grace} s"
    if grace > _USEFUL_GRACE:
        told += f" (gitlab-runner calls cleanup after {_USEFUL_GRACE} s in any case)"
    return ok("runner-timeouts", told)


def _whole(value: object, default: int) -> int:
    """A number of the file, as gitlab-runner takes it: what isn't above 0 is its default."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return default
    return min(value, _LARGEST)
