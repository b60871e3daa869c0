"""What a container sees of its task's volumes, and of the host's tools."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.inside import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fargate_driver.local.runtimes.inside.plan import Bind


def take_binds(binds: Sequence[Bind]) -> list[tuple[Bind, int]]:
    """Take them, while the host's root file system is still there; those within others come last.

    Raises:
        OSError: a source isn't there.
    """
    ordered = sorted(binds, key=lambda bind: len(PurePath(bind.target).parts))
    return [(bind, kernel.clone_tree(bind.source)) for bind in ordered]


def attach_binds(taken: Sequence[tuple[Bind, int]]) -> None:
    """Show them, in what is now the root file system.

    Raises:
        OSError: a target isn't there.
    """
    for bind, tree in taken:
        kernel.attach(tree, bind.target)
        if bind.read_only:
            kernel.make_read_only(bind.target)
