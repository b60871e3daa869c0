from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from fargate_driver.errors import DriverError
from fargate_driver.ssh import keys

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_new_each_time_and_private(tmp_path: Path) -> None:
    first = keys.make_key(str(tmp_path), "fargate-driver")
    second = keys.make_key(str(tmp_path), "fargate-driver")
    assert first != second
    kind, _, comment = second.split(" ")
    assert (kind, comment) == ("ssh-ed25519", "fargate-driver")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    made = subprocess.run(
        ["ssh-keygen", "-y", "-f", tmp_path / "key"], check=True, capture_output=True, text=True
    )
    assert made.stdout.split()[1] == second.split()[1]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises((DriverError, OSError)):
        keys.make_key(str(tmp_path), "test")


def test_a_missing_ssh_keygen_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "ENVIRONMENT", {"PATH": str(tmp_path)})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DriverError, match="ssh-keygen is not on"):
        keys.make_key(str(tmp_path), "test")
