"""Writes the driver's configuration for an embedded Fargate.

The keys are those of the Go driver's file, and this driver's own: docs/configuration.md.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def write(path: Path, comment: str, sections: Mapping[str, Mapping[str, str | int | bool]]) -> None:
    """Write a TOML file, whole or not at all.

    Args:
        path: Where; an existing file is replaced.
        comment: The first line, without the `#`.
        sections: Keys and values by section.

    Raises:
        OSError: it can't be written.
    """
    lines = [f"# {comment}"]
    for section, values in sections.items():
        lines += ["", f"[{section}]"]
        lines += [f"{key} = {_value(value)}" for key, value in values.items()]
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _value(value: str | int | bool) -> str:
    # JSON's strings, numbers and booleans are TOML's too, but for the unescaped DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
