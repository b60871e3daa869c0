"""The two forms in which images are handed around: OCI layouts, and what `docker save` writes.

Sources: https://github.com/opencontainers/image-spec/blob/main/image-layout.md and
https://github.com/moby/docker-image-spec/blob/main/spec.md
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from fargate_driver.local.image_store.config import BadImageError, ImageConfig
from fargate_driver.local.image_store.names import BadNameError, canonical
from fargate_driver.local.rooted import open_below, read_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST = 16 << 20  # bytes of a manifest or a configuration
_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]{64,128}")
_DEEPEST = 3  # indexes within indexes
_REFERENCE = "org.opencontainers.image.ref.name"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class _Blob(NamedTuple):
    path: str
    """Below the directory."""
    digest: str | None


class Unpacked(NamedTuple):
    """An image that is in layers yet."""

    layers: list[_Blob]
    """The lowest one first."""
    config: ImageConfig


class Archive:
    """A directory that may be an OCI layout or an unpacked docker archive.

    Args:
        directory: Where it is; no link in it leads out of it.
        what: Begins the text of errors.
    """

    def __init__(self, directory: Path, what: str) -> None:
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._what = what

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._root)

    def read(self, name: str) -> Unpacked | None:
        """Return the image in it; None: this is neither, but a root file system.

        Args:
            name: The image's canonical one, to choose among several.

        Raises:
            BadImageError: it is damaged, holds no image for this machine, or several.
        """
        if self._has("oci-layout") and self._has("index.json"):
            return self._read_oci(name)
        if self._has("manifest.json"):
            manifest = self._json(_Blob("manifest.json", None))
            if isinstance(manifest, list) and all(
                isinstance(image, dict) and {"Config", "Layers"} <= image.keys()
                for image in manifest
            ):
                return self._read_docker(manifest, name)
        return None

    @contextmanager
    def open(self, blob: _Blob) -> Iterator[IO[bytes]]:
        """Open a layer, after its digest has been checked.

        Raises:
            BadImageError: it isn't there, or damaged.
        """
        try:
            descriptor = open_below(self._root, blob.path, os.O_RDONLY | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise self._bad(f"{blob.path!a} can't be read: {error}") from None
        with os.fdopen(descriptor, "rb") as file:
            if blob.digest:
                algorithm, _, expected = blob.digest.partition(":")
                if hashlib.file_digest(file, algorithm).hexdigest() != expected:
                    raise self._bad(f"{blob.path} is damaged: its content has another digest")
                file.seek(0)
            yield file

    def _read_oci(self, name: str) -> Unpacked:
        manifest = self._manifest(self._json(_Blob("index.json", None)), name, _DEEPEST)
        config = self._json(self._blob(manifest.get("config")))
        layers = manifest.get("layers")
        if not isinstance(layers, list):
            raise self._bad("a manifest without layers")
        return Unpacked([self._blob(layer) for layer in layers], self._config(config))

    def _manifest(self, index: Any, name: str, depth: int) -> dict[str, Any]:
        """Return the manifest for this machine and name."""
        found = index.get("manifests") if isinstance(index, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._bad("an index without manifests")
        fitting = [one for one in found if self._fits(one)]
        if len(fitting) > 1:
            fitting = [one for one in fitting if _named(_annotation(one), name)] or fitting
        if len(fitting) != 1:
            raise self._bad(
                f"it holds {len(fitting)} images for {_machine()}, and one is needed: export one"
            )
        manifest = self._json(self._blob(fitting[0]))
        if not isinstance(manifest, dict):
            raise self._bad("a manifest that is no object")
        if "manifests" in manifest:
            if depth == 0:
                raise self._bad("indexes within indexes without end")
            return self._manifest(manifest, name, depth - 1)
        return manifest

    def _fits(self, descriptor: dict[str, Any]) -> bool:
        place = descriptor.get("platform")
        if not isinstance(place, dict):
            return True
        return (place.get("os"), place.get("architecture")) == ("linux", _machine())

    def _read_docker(self, manifest: list[dict[str, Any]], name: str) -> Unpacked:
        fitting = manifest
        if len(fitting) > 1:
            fitting = [
                one
                for one in manifest
                if any(_named(tag, name) for tag in one.get("RepoTags") or ())
            ]
        if len(fitting) != 1:
            raise self._bad(f"it holds {len(manifest)} images, none or several by the name {name}")
        config, layers = fitting[0]["Config"], fitting[0]["Layers"]
        if not isinstance(layers, list) or not all(isinstance(p, str) for p in [config, *layers]):
            raise self._bad("a manifest whose layers are no paths")
        read = self._json(_Blob(config, None))
        return Unpacked([_Blob(layer, None) for layer in layers], self._config(read))

    def _config(self, config: Any) -> ImageConfig:
        if not isinstance(config, dict):
            raise self._bad("a configuration that is no object")
        built_for = config.get("architecture") or _machine()
        if built_for != _machine():
            raise self._bad(f"it is for {built_for}, and this machine is {_machine()}")
        return ImageConfig.read(config.get("config") or {}, self._what)

    def _blob(self, descriptor: Any) -> _Blob:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise self._bad("a descriptor without a digest of SHA-256 or SHA-512")
        return _Blob(f"blobs/{digest.replace(':', '/')}", digest)

    def _json(self, blob: _Blob) -> Any:
        with self.open(blob) as file:
            text = file.read(_LONGEST)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._bad(f"{blob.path!a} is no JSON: {error}") from None

    def _has(self, path: str) -> bool:
        try:
            read_below(self._root, path, 0)
        except OSError:
            return False
        return True

    def _bad(self, why: str) -> BadImageError:
        return BadImageError(f"{self._what}: {why}")


def _annotation(descriptor: dict[str, Any]) -> Any:
    annotations = descriptor.get("annotations")
    return annotations.get(_REFERENCE) if isinstance(annotations, dict) else None


def _named(reference: Any, name: str) -> bool:
    """Whether a reference, or a tag alone, stands for a canonical name."""
    if not isinstance(reference, str):
        return False
    try:
        return name.endswith(f":{reference}") or canonical(reference) == name
    except BadNameError:
        return False


def _machine() -> str:
    machine = platform.machine()
    return _MACHINES.get(machine, machine)
