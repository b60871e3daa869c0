from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from local_images.archive_makers import archive

if TYPE_CHECKING:
    from pathlib import Path


def call(place: Path, *words: str, given: bytes = b"") -> tuple[int, str, str]:
    """Run `fargate local image`; return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "fargate_driver", "local", "image", *words],
        input=given,
        capture_output=True,
        env={**os.environ, "XDG_DATA_HOME": str(place / "data")},
        cwd=place,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_imports_and_lists(tmp_path: Path) -> None:
    assert call(tmp_path, "list") == (0, "", "")
    tar = archive(("file", "x" * 1_500_000))
    said = call(tmp_path, "import", "python:3.13", "/dev/stdin", given=tar)
    assert said == (0, "imported docker.io/library/python:3.13 (1.5 MB)\n", "")
    (tmp_path / "folder").mkdir()
    code, _, errors = call(tmp_path, "import", "a/b", "folder", "--dir", "local")
    assert (code, errors) == (0, "")
    _, output, _ = call(tmp_path, "list")
    assert output.split()[:3] == ["docker.io/library/python:3.13", "1.5", "MB"]
    _, output, _ = call(tmp_path, "list", "--dir", "local")
    assert output.split()[:3] == ["docker.io/a/b:latest", "0.0", "MB"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "folder", "local"]


def test_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    for words, said in (
        (("Python", "text"), "'Python' is no name of an image: "),
        (("a", "nowhere"), "nowhere: No such file or directory"),
        (("a", "text"), "text: no tar archive, or a damaged one: "),
        (("a", "text", "--dir", "text"), "text: File exists"),
    ):
        code, output, errors = call(tmp_path, "import", *words)
        assert (code, output) == (2, "")
        assert errors.startswith(f"fargate: {said}")
        assert errors.count("\n") == 1
