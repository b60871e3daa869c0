"""The examples in the help that need an embedded Fargate, for real."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from help_texts import examples, helps
from local_fargate import FARGATE, RUNTIME

if TYPE_CHECKING:
    from pathlib import Path


def test_of_local_up_and_try(tmp_path: Path) -> None:
    """`fargate local up` in one terminal, jobs on it in others."""
    texts = helps()
    up, on_it = examples(texts["fargate local up"])
    with_script = next(one for one in examples(texts["fargate try"]) if "--script" in one)
    (tmp_path / "job.sh").write_text("echo $GREETING from a script\n")
    (tmp_path / "fargate").mkdir()
    (tmp_path / "fargate.toml").symlink_to("fargate/fargate.toml")
    with subprocess.Popen(
        [*FARGATE, *up, "--runtime", RUNTIME], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("ready: ")
            for words, said in ((on_it, "hello"), (with_script, "hi from a script")):
                assert said in run(words, tmp_path)
        finally:
            process.terminate()
            process.wait(60)


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(
        [*FARGATE, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr)
    return done.stdout
