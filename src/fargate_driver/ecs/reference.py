"""Names of images.

Source of the form: https://github.com/distribution/reference (reference.go); of the length:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html (image).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fargate_driver.ecs.words import registry_of

LONGEST = 255
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_FORM = re.compile(
    rf"(?P<path>(?:(?P<host>{_HOST}(?:\.{_HOST})*)(?P<port>:[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*)"
    r"(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """The parts of an image's name.

    Args:
        written: the name without tag and digest, as it was written.
        without_port: the same without the registry's port.
        repository: the same with its registry (`docker.io/library/python` for `python`).
        registry: the registry's host, with its port.
    """

    written: str
    without_port: str
    repository: str
    registry: str


def parse(name: str) -> Reference:
    """Take an image's name apart.

    Raises:
        ValueError: it is no name of an image; the message is the end of a sentence about it.
    """
    if len(name) > LONGEST:
        raise ValueError(f"has {len(name)} characters; allowed: {LONGEST}")
    match = _FORM.fullmatch(name)
    if not match:
        raise ValueError("is no name of an image (REGISTRY/REPOSITORY:TAG, in lower case)")
    written = match["path"]
    without_port = written
    if match["port"]:
        without_port = match["host"] + written.removeprefix(match["host"] + match["port"])
    registry = registry_of(written)
    repository = written
    if registry == "docker.io":
        path = written.removeprefix("docker.io/")
        repository = f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"
    return Reference(written, without_port, repository, registry)
