"""The errors that the embedded Fargate's API answers with."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An AWS error answer.

    Args:
        code: AWS's name of the error, such as `ClusterNotFoundException`.
        message: AWS's text for it.
        status: The HTTP status.
        details: Further members of the error's shape, such as ConflictException's `resourceIds`.
    """

    def __init__(
        self, code: str, message: str, status: int = 400, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details or {}


def client_error(message: str) -> ApiError:
    """Return a ClientException: what ECS says to a request that names things that don't fit."""
    return ApiError("ClientException", message)


def invalid_parameter(message: str) -> ApiError:
    """Return an InvalidParameterException: what ECS says to a value that it doesn't allow."""
    return ApiError("InvalidParameterException", message)
