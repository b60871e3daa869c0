"""The key pair of one job."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fargate_driver.errors import DriverError
from fargate_driver.ssh.connection import KEY
from fargate_driver.ssh.environment import ENVIRONMENT


def make_key(directory: str, comment: str) -> str:
    """Make a new ed25519 key pair, in place of one that an earlier attempt left.

    Args:
        directory: The job's private directory; the files are `key` and `key.pub` in it.
        comment: What the public key's line ends with: one word, seen by whoever reads the task.

    Returns:
        The public key's line, without a line end.

    Raises:
        DriverError: ssh-keygen is missing or failed.
    """
    private, public = Path(directory, KEY), Path(directory, f"{KEY}.pub")
    private.unlink(missing_ok=True)
    public.unlink(missing_ok=True)
    try:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", KEY],
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise DriverError(
            "ssh-keygen is not on the runner manager's PATH: install the OpenSSH client"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or f"exit status {error.returncode}"
        raise DriverError(
            f"{directory}: ssh-keygen could not make the job's key: {said}"
        ) from error
    return public.read_text().strip()
