"""The programs that the driver starts on this host."""

from __future__ import annotations

import re
import subprocess

from fargate_driver.doctor.finding import Finding, ok, wrong
from fargate_driver.ssh.environment import ENVIRONMENT

_LEAST = (7, 6)
"""The version that learned StrictHostKeyChecking=accept-new
(https://www.openssh.com/txt/release-7.6)."""
_PATIENCE = 10
_INSTALL = (
    "install OpenSSH's client (Debian: openssh-client), 7.6 or newer, on gitlab-runner's PATH"
)


def ssh() -> Finding:
    """Check the ssh client."""
    try:
        answer = subprocess.run(
            ["ssh", "-V"],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        return wrong("ssh", "there is no ssh on the PATH", _INSTALL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return wrong("ssh", f"ssh doesn't start: {error}", _INSTALL)
    told = " ".join((answer.stderr + answer.stdout).split())[:80]
    match = re.search(r"OpenSSH\w*_(\d+)\.(\d+)", told)
    if not match:
        return wrong("ssh", f"ssh is not OpenSSH's: {told}", _INSTALL)
    if (int(match[1]), int(match[2])) < _LEAST:
        return wrong("ssh", f"{told} is too old", _INSTALL)
    return ok("ssh", told.partition(",")[0])
