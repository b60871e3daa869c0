"""The tools on this machine: built once per version of their sources, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fargate_driver.helper.sources import ToolsError, digest, source_directory

_LIMIT = 900.0
"""Seconds for a build. It takes one processor 45 s; a busy machine may need many times that."""
_SAID = "fargate: building the tools for job containers, once, which takes about a minute"
_NO_SOURCES = {"Dockerfile", "README.md"}


def tools_directory() -> Path:
    """The directory with init, inject, sshd, busybox and sh, to be mounted at /opt/fargate.

    It is in `$XDG_CACHE_HOME/gitlab-fargate-driver` (`~/.cache` where that is not set), named by
    the hash of its sources. The first call builds it; others meanwhile wait.

    Raises:
        ToolsError: The sources or what the build needs are missing, or the build failed.
    """
    sources = source_directory()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache /= "gitlab-fargate-driver"
    name = f"{platform.machine()} {digest(sources, without=_NO_SOURCES)}"
    tools = cache / f"tools-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    try:
        if tools.is_dir():
            return tools
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "tools.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not tools.is_dir():
                _build(sources, tools)
    except OSError as error:
        raise ToolsError(f"{cache} can't hold the tools for job containers: {error}") from error
    return tools


def _build(sources: Path, tools: Path) -> None:
    made = Path(tempfile.mkdtemp(prefix="building-", dir=tools.parent))
    sys.stderr.write(f"{_SAID}\n")
    try:
        # A wheel's files are not executable.
        result = subprocess.run(
            ["sh", sources / "build", made],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
        if result.returncode != 0:
            said = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
            raise ToolsError(f"the tools for job containers can't be built: {said[-1]}")
        made.chmod(0o755)  # the container's user, whoever that is, runs them
        made.rename(tools)
    except subprocess.TimeoutExpired as error:
        raise ToolsError(
            f"the tools for job containers were not built within {_LIMIT:.0f} s"
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
