"""Putting a failed call of AWS into words, and telling whether to make it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, which is not Python's
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    SSLError,
)

from fargate_driver.ecs import diagnosis
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.verdict import Retry

if TYPE_CHECKING:
    from collections.abc import Collection

_PASSING = (
    HTTPClientError,
    ConnectionError,
    CredentialRetrievalError,
    MetadataRetrievalError,
)
"""botocore's errors that may be gone at the next attempt."""
_CONNECTION_PATIENCE = 60.0
"""Seconds in which a connection that fails is tried again: a wrong endpoint never works."""


def explain(
    error: ClientError | BotoCoreError,
    operation: str,
    begun: float,
    deadline: float,
    chosen: Collection[str],
) -> tuple[EcsError, float]:
    """Put a failed call into words.

    Args:
        error: what botocore raised.
        operation: the call.
        begun: when it was first made (time.monotonic).
        deadline: until when the caller would make it again.
        chosen: what of it the job's author chose, for the verdict (verdict.Chosen).

    Returns:
        The error, and until when trying again makes sense (0: never).
    """
    if not isinstance(error, ClientError):
        until = 0.0
        if isinstance(error, _PASSING) and not isinstance(error, SSLError):
            until = min(deadline, begun + _CONNECTION_PATIENCE)
        verdict = diagnosis.of_api_error(operation, "", str(error))
        return EcsError(
            verdict.beside(" ".join(f"{operation} failed: {error}".split())),
            operation,
            message=str(error),
            # All but HTTPClientError's kinds happen before anything is sent.
            refused=not isinstance(error, HTTPClientError),
            verdict=verdict,
        ), until
    problem = error.response.get("Error", {})
    code, message = (str(problem.get(name) or "") for name in ("Code", "Message"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    served = 400 <= status < 500
    verdict = diagnosis.of_api_error(operation, code, message, status=status, chosen=chosen)
    explained = EcsError(
        verdict.beside(f"{operation} failed: {code}: {message or 'no message'}"),
        operation,
        code,
        message,
        refused=served and code != "ConflictException",
        verdict=verdict,
    )
    return explained, deadline if verdict.retry is Retry.WAIT or not served else 0.0
