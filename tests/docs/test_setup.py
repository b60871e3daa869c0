"""What the scripts need is told all at once, by them and by the README."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("script", "packages"),
    [
        ("scripts/try", set()),
        ("scripts/try --image=debian", {"gcc"}),
        ("scripts/test", {"gcc", "zsh"}),
    ],
)
def test_all_that_is_missing_is_named_at_once(
    script: str, packages: set[str], tmp_path: Path
) -> None:
    for name, text in {"id": "echo 1000", "python3": "exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "dirname").symlink_to(str(shutil.which("dirname")))
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    bash, command = str(shutil.which("bash")), script.split()
    done = subprocess.run(
        [bash, *command],
        cwd=checkout,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    install = "sudo apt-get install --no-install-recommends "
    assert re.match(r"missing: [a-z0-9 -]+\. Install with: " + install, line)
    missing = line.partition(install)[2].split()
    assert packages | {"python3-venv", "openssh-client"} <= set(missing)
    page = (ROOT / "README.md").read_text().replace("\\\n", "")
    lines = re.findall(r"apt-get install --no-install-recommends (.*)", page)
    assert set(missing) <= set(" ".join(lines).split())
