"""The driver's own sessions in containers that the tools serve."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh.errors import UnusableContainerError
from helper.tools_container import Container
from ssh.pretended_task import Stages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root

SHELLS = {"busybox": "sh", "glibc": "bash", "bash-only": "bash"}


@pytest.fixture(params=[(kind, user) for kind in SHELLS for user in (0, 12345)], ids=str)
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    kind, user = request.param
    made = Container(tmp_path, kind, user=user, environment={"ODD": "a\nb'c\"$d\\"})
    # Of the places for the state directory, one is left that others than root may write to.
    (made.root / "tmp").chmod(0o700)
    made.start()
    yield made
    made.stop()


def test_stages_run_in_the_images_own_shell(container: Container) -> None:
    found = container.open()
    kind = "busybox" if (container.root / "bin" / "busybox").exists() else "bash-only"
    if (container.root / "usr").exists():
        kind = "glibc"
    assert found.shell == SHELLS[kind]
    assert found.init_pid == 1
    assert found.environment_readable
    assert found.state_directory.startswith("/tmp" if container._user == 0 else "/builds")
    stages = Stages(container, found)
    own = {"busybox": "/bin/busybox", "glibc": "/usr/bin/bash", "bash-only": "/bin/bash"}[kind]
    if kind != "bash-only":
        assert stages.run("readlink /proc/$$/exe").stdout.decode().strip() == own
    run = stages.run('printf "%s" "$ODD"; echo err >&2; exit 3')
    assert (run.stdout, run.stderr, run.outcome.code) == (b"a\nb'c\"$d\\", b"err\n", 3)
    assert stages.run("kill -9 $$").outcome.code == 137
    assert stages.run("kill -9 0").outcome.code == 137
    big = b"exit 9\n" + b"#" * 300_000
    assert stages.run(big).outcome.code == 9


def test_a_cancelled_stage_is_ended_with_all_it_started(container: Container) -> None:
    stages = Stages(container, container.open())
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def begun() -> bool:
        return any(path.stat().st_size for path in container.directory.glob("stdout-*"))

    try:
        # Stopped, since bash alone has no command that waits.
        script = "sleep 300 & echo begun; kill -STOP $$"
        run = stages.run(script, cancelled=begun, wakeup_fd=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert run.outcome.cancelled
    assert run.outcome.code == 143
    assert container.ssh("pidof sleep", check=False).returncode == 1


def test_an_image_without_any_shell_is_told_so(tmp_path: Path) -> None:
    container = Container(tmp_path, "busybox", environment={"PATH": "/nowhere"})
    container.start()
    try:
        with pytest.raises(UnusableContainerError, match="image has no shell"):
            container.open()
    finally:
        container.stop()
