"""docs/images.md as a newcomer follows it; tests/docs looks at its other blocks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import image_kinds
from local_fargate import FARGATE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "images.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_commands_for_ones_own_machine(tmp_path: Path) -> None:
    """Run as they stand, with the user's own store of images."""
    if not image_kinds.BUSYBOX.exists():
        pytest.skip("no busybox: apt-get install busybox-static")
    done = subprocess.run(
        ["bash", "-euxc", BLOCKS[0]],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_DATA_HOME": str(tmp_path / "data"),
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Job succeeded\n") == 2
    assert "Linux" in done.stdout
    assert "service example.com/base:1 ended: its container is STOPPED" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("example.com/base:1 ")


def test_an_image_that_is_not_there_comes_with_the_way_to_bring_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [*FARGATE, "try", "--image", "python:3.99", "--", "true"],
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    shown = done.stdout + done.stderr
    assert "bring it first: fargate local image import python:3.99 PATH" in shown
    assert "CannotPullContainerError" in done.stdout
