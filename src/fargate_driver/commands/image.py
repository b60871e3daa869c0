"""`fargate local image`: bring images to the embedded Fargate, which pulls none."""

from __future__ import annotations

import time
from pathlib import Path

import click

from fargate_driver.commands.group import Group
from fargate_driver.errors import DriverError
from fargate_driver.local.image_store.config import BadImageError
from fargate_driver.local.image_store.store import Store, stores_of, users_store

_directory = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="That of `local up`, to keep the image in DIR/images, for it alone; otherwise the image"
    " is for every embedded Fargate of yours.",
)


@click.group(
    cls=Group,
    epilog="\b\nExamples:\n  fargate local image import debian ./debootstrap-folder\n"
    "  fargate local image list\n",
)
def image() -> None:
    """Import and list images for the embedded Fargate, which pulls none."""


@image.command(
    "import",
    epilog="\b\nExamples:\n"
    "  docker save python:3.13 | fargate local image import python:3.13 /dev/stdin\n"
    "  fargate local image import debian ./debootstrap-folder\n",
)
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@_directory
def import_(name: str, path: Path, directory: Path | None) -> None:
    """Import the image at PATH under NAME, which jobs and task definitions then use.

    PATH is a folder or a tar archive, of a root file system or an OCI layout, or what `docker save`
    and `podman save` write.
    """
    try:
        stored = _store(directory).add(name, path)
    except BadImageError as error:
        raise DriverError(str(error)) from None
    click.echo(f"imported {stored.name} ({_megabytes(stored.size)})")


@image.command(
    "list",
    epilog="\b\nExamples:\n  fargate local image list\n"
    "  fargate local image list --dir ./fargate\n",
)
@_directory
def list_(directory: Path | None) -> None:
    """List the images that were imported: name, size, time."""
    try:
        images = _store(directory).images()
    except BadImageError as error:
        raise DriverError(str(error)) from None
    width = max((len(stored.name) for stored in images), default=0)
    for stored in images:
        imported = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.imported))
        click.echo(f"{stored.name:<{width}}  {_megabytes(stored.size):>9}  {imported}")


def _store(directory: Path | None) -> Store:
    return Store(users_store()) if directory is None else stores_of(directory)[0]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
