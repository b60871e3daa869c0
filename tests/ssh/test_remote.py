from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ssh import remote
from fargate_driver.ssh.follow import follow_command
from fargate_driver.ssh.kill import kill_command
from fargate_driver.ssh.terminal import terminal_command

COMMANDS = {
    "stage": remote.stage_command(
        wrapper_shell="/bin/sh",
        stage="0e",
        size=1,
        shell="bash",
        init_pid=1,
        state_directory="/tmp/.fargate-0f",
    ),
    "follow": follow_command(
        wrapper_shell="/bin/sh", script="/tmp/0", stage="0e", positions=(1, 2)
    ),
    "kill": kill_command(
        wrapper_shell="/bin/sh",
        stage="0e",
        init_pid=1,
        state_directory="/tmp/.fargate-0f",
        grace=10,
    ),
    "terminal": terminal_command(
        ["bash"],
        wrapper_shell="/bin/sh",
        name="terminal-0e",
        folder="/builds/group/project",
        init_pid=1,
        state_directory="/tmp/.fargate-0f",
    ),
    "probe": remote.probe_command(wrapper_shell="/bin/sh", nonce="0f", directories=("/tmp",)),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_login_shell_reads_anything_into_the_texts(name: str) -> None:
    command = COMMANDS[name].decode()
    assert "\\\\" not in command
    assert command.startswith("exec /bin/sh -c '")
    assert "'" not in command.split("'")[1]
    # Far from the 128 KiB that one argument may have.
    assert len(command) < 8192


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_path_is_one_word(path: str) -> None:
    quoted = remote._quote(path)
    echoed = subprocess.run(
        ["/bin/sh", "-c", f"printf %s {quoted}"], check=True, capture_output=True
    )
    assert echoed.stdout == path.encode()


def test_the_run_stage_imports_nothing_slow() -> None:
    program = "import sys; import fargate_driver.ssh.session; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    ours = {name for name in loaded if name.startswith("fargate_driver")}
    assert "fargate_driver.ssh.session" in ours
    bare = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    allowed = {"__future__", "_socket", "_struct", "select", "struct", "time"}
    assert set(loaded) - set(bare) - ours <= allowed
