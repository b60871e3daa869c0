"""Job containers that differ by their shells: login shell, /bin/sh, and the programs on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ssh.pretended_task import Task


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed here")
    return path


def make_task(directory: Path, kind: str, *, contained: bool = False, login: str = "") -> Task:
    """A task of which sshd forces every command through other shells than this machine's.

    Args:
        directory: An empty one.
        kind: "plain"; or the login shell and the /bin/sh, as in "zsh+dash"; or "busybox", where
            there is nothing but busybox's applets.
        contained: As `Task` has it.
        login: What else is done first on login, where the kind isn't "plain".
    """
    if kind == "plain":
        return Task(directory, contained=contained)
    programs = directory / "programs"
    programs.mkdir()
    environment = {}
    if kind == "busybox":
        # The shell has to be an applet itself: `busybox sh` would find only the applets' names.
        subprocess.run([_program("busybox"), "--install", "-s", programs], check=True)
        program = shell = str(programs / "sh")
        environment["PATH"] = str(programs)
    else:
        name, under_test = kind.split("+")
        program, shell = _program(name), str(programs / "sh")
        Path(shell).symlink_to(_program(under_test))
        environment["PATH"] = os.environ["PATH"]
    force = directory / "force"
    force.write_text(
        "#!/bin/sh\n"
        f"export PATH='{environment['PATH']}'\n{login}\n"
        f'exec {program} -c "exec {shell} ${{SSH_ORIGINAL_COMMAND#exec /bin/sh}}"\n'
    )
    force.chmod(0o700)
    return Task(directory, environment, force_command=str(force), contained=contained)


KINDS = ["plain", "busybox", "bash+bash", "zsh+dash"]
SHELLS_GO_BY = "export TMOUT=1 SHELLOPTS=errexit:monitor:noclobber:noglob:nounset"
"""A login that exports what bash changes its ways by."""
