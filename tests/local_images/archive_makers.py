"""Archives of images, as other tools write them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def entry(name: str, **attributes: Any) -> tarfile.TarInfo:
    """Return an archive's entry."""
    info = tarfile.TarInfo(name)
    for attribute, value in {"mode": 0o755, **attributes}.items():
        setattr(info, attribute, value)
    return info


def archive(
    *entries: tarfile.TarInfo | tuple[str | tarfile.TarInfo, str | bytes], mode: str = "w"
) -> bytes:
    """Return a tar archive of entries; (name, text) is a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for one in entries:
            if isinstance(one, tarfile.TarInfo):
                tar.addfile(one)
                continue
            head, content = one
            info = entry(head, mode=0o644) if isinstance(head, str) else head
            data = content.encode() if isinstance(content, str) else content
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class OciLayout:
    """An OCI layout in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs" / "sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, content: bytes | dict[str, Any], **more: Any) -> dict[str, Any]:
        """Store a blob; return its descriptor."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / "blobs" / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data), **more}

    def image(self, *layers: bytes, machine: str = MACHINE, **config: Any) -> dict[str, Any]:
        """Store an image; return its manifest's descriptor."""
        shown = {"architecture": machine, "os": "linux", "config": config}
        return self.blob(
            {"config": self.blob(shown), "layers": [self.blob(layer) for layer in layers]},
            platform={"os": "linux", "architecture": machine},
        )

    def index(self, *manifests: dict[str, Any]) -> None:
        """Say what the layout holds."""
        (self.directory / "index.json").write_text(json.dumps({"manifests": manifests}))
