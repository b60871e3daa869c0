from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fargate_driver.ssh.errors import MasterGoneError, UnusableContainerError
from fargate_driver.ssh.probe import probe
from ssh.container_shells import KINDS, make_task
from ssh.pretended_task import Stages, Task


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_container_offers_is_found(tmp_path: Path, kind: str) -> None:
    task = make_task(tmp_path, kind)
    task.start()
    try:
        found = task.open()
        assert found.init_pid == task.init_pid
        assert found.environment_readable
        assert Path(found.state_directory).is_dir()
        if kind == "busybox":
            assert (found.shell, "bash" in found.programs) == ("sh", False)
            assert "gitlab-runner" not in found.programs
        else:
            assert found.shell == "bash"
            assert {"bash", "sh"} <= found.programs
    finally:
        task.stop()


def test_programs_are_looked_for_on_the_path_of_the_image(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("gitlab-runner", "git"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    task = Task(tmp_path, {"PATH": f"{programs}:/bin:/usr/bin"})
    task.start()
    try:
        assert {"gitlab-runner", "git"} <= task.open().programs
    finally:
        task.stop()


@pytest.mark.parametrize(
    ("command", "said"),
    [("/bin/false", "ended with status 1"), ("sleep 300", "did not answer in time")],
)
def test_a_login_shell_that_does_not_work_is_said_so(
    tmp_path: Path, command: str, said: str
) -> None:
    task = Task(tmp_path, force_command=command)
    task.start()
    try:
        with pytest.raises(UnusableContainerError, match=f"{said}.*login shell"):
            task.open(3)
    finally:
        task.stop()


def test_what_a_login_shell_prints_does_no_harm(tmp_path: Path) -> None:
    force = tmp_path / "noisy"
    force.write_text('#!/bin/sh\necho welcome\necho hello >&2\neval "$SSH_ORIGINAL_COMMAND"\n')
    force.chmod(0o700)
    task = Task(tmp_path, force_command=str(force))
    task.start()
    try:
        assert task.open().shell == "bash"
    finally:
        task.stop()


def test_without_a_connection_there_is_nothing_to_probe(task: Task) -> None:
    with pytest.raises(MasterGoneError):
        probe(task.connection, time.monotonic() + 5)


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="a PID namespace needs root")
def test_sshd_as_the_first_process_has_lost_its_environment(tmp_path: Path) -> None:
    task = Task(tmp_path, sshd_first=True)
    task.start()
    try:
        found = task.open()
        assert (found.init_pid, found.environment_readable) == (1, False)
        run = Stages(task, found).run("echo $$; exit 3")
        assert run.outcome.code == 3
        assert int(run.stdout) < 200
    finally:
        task.stop()
