"""AWS's words, made fit for a job's log."""

from __future__ import annotations

import re

from fargate_driver import masking

_LONGEST_VALUE = 300
"""Characters of a value that is filled into a sentence; ARNs are shorter."""
_SECRETS = re.compile(
    r"(?P<kept>(?:X-Amz-(?:Signature|Credential)(?:=|%3D)|\b(?:Credential|Signature)="
    r"|security-?_?token(?:=|%3D|[\"']?\s*[:=]\s*[\"']?)"
    r"|(?:secret_?access_?key|session_?token)[\"']?\s*[:=]\s*[\"']?))[^&\s\"',;]+"
    r"|\beyJ[\w-]{8,}\.[\w.-]+"
    r"|The (?:Canonical String|String-to-Sign)\b.*"
    r"|'[^']*'(?= not a valid key=value pair)",
    re.IGNORECASE,
)
"""What gives access: the signature and token of presigned URLs
(https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html), to which registries
redirect and which CannotPullContainerError quotes; the signed headers that AWS quotes where a
signature doesn't fit
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html); a web
identity's token (RFC 7519); and keys by name."""
_IMAGE = re.compile(
    r"(?:failed to resolve ref(?:erence)?|pull access denied for|cannot pull|pull image|repository)"
    r" [\"'\u2018]?((?=[^\s]*[./:])[\w.][\w.:/@-]{0,400})",
    re.ASCII,
)


def one_line(text: str, longest: int) -> str:
    """Make a text printable.

    Args:
        text: anything.
        longest: characters at most; what is longer ends in an ellipsis.

    Returns:
        One line without control characters, without what gives access to AWS, and without secrets,
        of which no later look could find what is cut off or spaced anew.
    """
    text = masking.whole(text)
    spaced = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
    line = _SECRETS.sub(lambda found: f"{found['kept'] or ''}…", " ".join(spaced.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def value(text: object) -> str:
    """Make a value fit to be filled into a sentence."""
    return one_line(str(text), _LONGEST_VALUE)


def image_in(text: str) -> str | None:
    """The image that a pull failed for, where the text names it.

    Sources of the forms: https://github.com/containerd/containerd (failed to resolve reference),
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
    """
    match = _IMAGE.search(text)
    return match[1].rstrip(".:,") if match else None


def registry_of(image: str) -> str:
    """The host of the registry that an image comes from, by Docker's rules for names."""
    first, slash, _ = image.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return first
    return "docker.io"
