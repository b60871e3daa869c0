"""The completion of real shells, typed in a terminal."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from local_fargate import until
from recorded_jobs import CONFIG, record
from tmux import terminal

BIN = Path(sys.executable).parent
INSTALL = {
    "bash": "PS1='rea''dy> '; source <(fargate completion bash)",
    "zsh": (
        "PS1='rea''dy> '; fargate completion zsh > .fargate.zsh;"
        " autoload -Uz compinit; compinit -D; source ./.fargate.zsh"
    ),
}
START = {"bash": ["bash", "--norc", "--noprofile"], "zsh": ["zsh", "-f"]}


@pytest.mark.parametrize("shell", START)
def test_a_shell_completes(shell: str, tmp_path: Path) -> None:
    (tmp_path / "fargate.toml").write_text(CONFIG)
    for number in (123456, 987654):
        record(tmp_path, number)
    home = ["env", "-u", "ZDOTDIR", f"HOME={tmp_path}", f"PATH={BIN}:/usr/bin:/bin"]
    command = ["sh", "-c", f"cd {shlex.quote(str(tmp_path))}; exec {shlex.join(START[shell])}"]
    with terminal(tmp_path, [*home, *command], width=100, height=12) as shown:
        shown.type(INSTALL[shell])
        shown.wait_for("ready>")
        # Each Tab is pressed when the shell has drawn what was typed before.
        for typed, completed in (
            ("fargate helper-i", "fargate helper-image"),
            ("fargate --config fargate.toml shell 12", "shell 123456"),
            ("fargate logs 98", "logs 987654"),
            ("fargate doctor --log-f", "doctor --log-f"),
            ("fargate jobs --wa", "jobs --watch"),
            ("fargate reap --conf", "reap --config"),
        ):
            shown.send("-l", typed)
            shown.wait_for(typed)
            shown.send("Tab")
            shown.wait_for(completed)
            shown.send("C-u")
            until(lambda: shown.screen().rstrip().endswith("ready>"), shown.screen)
