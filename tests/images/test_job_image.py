"""The example image's entrypoint, run as a container's would be: as PID 1's child, with port 22."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ENTRYPOINT = ROOT / "images" / "job" / "entrypoint.sh"

# A network, PID and mount namespace; /root, /etc/ssh and /run are the container's own.
CONTAINER = """
ip link set lo up
settings=$(cat /etc/ssh/sshd_config)
for path in /root /etc/ssh /run; do mount -t tmpfs -o mode=755 tmpfs $path; done
printf '%s\\n' "$settings" >/etc/ssh/sshd_config
exec "$@"
"""

pytestmark = pytest.mark.root


def _in_namespace(pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    enter = ["nsenter", "--target", str(pid), "--net", *command]
    return subprocess.run(enter, capture_output=True, text=True, timeout=30, check=False)


def test_refuses_to_start_without_a_key() -> None:
    result = subprocess.run(
        [ENTRYPOINT], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 64
    assert "SSH_PUBLIC_KEY is not set" in result.stderr


@pytest.fixture
def entrypoint() -> Iterator[Path]:
    """Where no mount of the container hides it, wherever the checkout is."""
    directory = Path(tempfile.mkdtemp(prefix="entrypoint-", dir="/var/tmp"))
    yield Path(shutil.copy(ENTRYPOINT, directory))
    shutil.rmtree(directory)


def test_lets_in_the_jobs_key_alone_and_keeps_the_environment_of_pid_1(
    entrypoint: Path, tmp_path: Path
) -> None:
    for name in ("job", "other"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    public = (tmp_path / "job.pub").read_text().strip()
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    container = subprocess.Popen(
        [*unshare, "sh", "-euc", CONTAINER, "sh", "tini", "--", entrypoint],
        env={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "SSH_PUBLIC_KEY": public,
            "QUOTED": "a 'b' \"c\"\nd",
        },
        stderr=subprocess.PIPE,
    )

    def ssh(key: str, *command: str) -> subprocess.CompletedProcess[str]:
        options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/hosts"]
        options += ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", str(tmp_path / key)]
        line = ["ssh", "-F", "none", *options, "root@127.0.0.1", *command]
        return _in_namespace(container.pid, *line)

    try:
        deadline = time.monotonic() + 20
        while (
            result := ssh("job", "cat /proc/1/comm; tr '\\0' '\\n' </proc/1/environ")
        ).returncode:
            assert container.poll() is None, container.stderr and container.stderr.read()
            assert time.monotonic() < deadline, result.stderr
            time.sleep(0.1)
        assert result.stdout.startswith("tini\n")
        assert "QUOTED=a 'b' \"c\"\nd\n" in result.stdout
        assert "Permission denied (publickey)" in ssh("other", "true").stderr
        assert ssh("job", "env").stdout.count("QUOTED") == 0
    finally:
        container.kill()
        container.communicate()


def test_dockerfile_installs_what_the_entrypoint_and_gitlabs_scripts_call() -> None:
    dockerfile = (ROOT / "images" / "job" / "Dockerfile").read_text()
    for package in ("bash", "ca-certificates", "git", "openssh-server", "tini"):
        assert f" {package}" in dockerfile
    assert 'ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/fargate-entrypoint"]' in dockerfile
    assert "COPY entrypoint.sh /usr/local/bin/fargate-entrypoint" in dockerfile
