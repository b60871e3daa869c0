"""The files that `fargate init` writes, and how."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.setup import infrastructure, toml
from fargate_driver.setup.policy import policy

if TYPE_CHECKING:
    from fargate_driver.setup.plan import Plan


def contents(plan: Plan) -> dict[str, str]:
    """Make the files: their text by name."""
    found = {
        "fargate.toml": toml.fargate_toml(plan),
        "runner-config.toml": toml.runner_config(plan),
        "policy.json": json.dumps(policy(plan.features, plan.scope), indent=2) + "\n",
    }
    if plan.infrastructure == "cloudformation":
        found["cloudformation.yaml"] = infrastructure.cloudformation(plan)
    elif plan.infrastructure == "terraform":
        found["main.tf"] = infrastructure.terraform(plan)
    if plan.manager == "fargate":
        found["manager.Dockerfile"] = infrastructure.dockerfile(plan)
    return found


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all, for its owner to edit and others to read.

    Args:
        path: Where; one that is there is replaced.
        text: What.

    Raises:
        OSError: It can't be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
