"""The root file system of a container of an image: an overlay, so that writes vanish with it.

Links in an image must not lead to the host's files. So what the container sees of the host is
taken first, then the image becomes the root, and only then is anything looked up in it: at that
time nothing of the host's is left in this mount namespace.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.local.runtimes.inside import kernel, names, system
from fargate_driver.local.runtimes.inside.binds import attach_binds, take_binds

if TYPE_CHECKING:
    from fargate_driver.local.runtimes.inside.plan import Plan


def enter(plan: Plan, *, as_root: bool) -> None:
    """Build the root file system and make it this process's; needs a new mount namespace.

    Args:
        plan: The container, of an image.
        as_root: Whether this is the host's root.

    Raises:
        OSError: the kernel refused a step; its text says which.
    """
    kernel.make_mounts_private()
    root = Path(plan.storage) / "root"
    root.mkdir()
    _overlay(plan, str(root), as_root=as_root)
    taken = system.take(plan.storage)
    files = take_binds(names.write(plan))
    volumes = take_binds(plan.binds)
    kernel.change_root(str(root))
    for directory in ("/dev", "/proc", "/sys", *(volume.target for volume, _ in volumes)):
        _target(directory).mkdir(parents=True, exist_ok=True)
    if plan.process:
        _target(plan.process.working_directory).mkdir(parents=True, exist_ok=True)
    for file, _ in files:
        target = _target(file.target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    if plan.read_only:
        kernel.make_read_only("/")
    system.give(taken, "", groups=as_root)
    attach_binds(files)
    attach_binds(volumes)


def _overlay(plan: Plan, target: str, *, as_root: bool) -> None:
    problem: OSError | None = None
    # The second try is for a file system that can't store an overlay's changes, such as an overlay.
    for kind in ("disk", "memory"):
        store = Path(plan.storage) / kind
        store.mkdir()
        if problem:
            kernel.mount("tmpfs", str(store), "mode=755")
        try:
            kernel.overlay(str(plan.root), target, store, flags=kernel.NODEV, as_root=as_root)
        except OSError as error:
            problem = error
            continue
        return
    raise OSError(0, f"no overlays for this user, which Linux 5.11 and newer have: {problem}")


def _target(path: str) -> Path:
    """Return what a path in the image leads to, which may not be there yet."""
    found = Path(os.path.realpath(path))
    if found.is_symlink():  # to itself, as debootstrap in a container leaves /proc
        found.unlink()
    return found
