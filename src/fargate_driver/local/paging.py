"""Answers of the List operations, page by page."""

from __future__ import annotations

from typing import Any

from fargate_driver.local.api_errors import invalid_parameter

_LARGEST_PAGE = 100


def page(member: str, values: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a list, and the token of the next one where there is one.

    Args:
        member: The name of the list in the answer.
        values: The whole list.
        request: The request, for its `maxResults` and `nextToken`.

    Raises:
        ApiError: one of these two is out of bounds.
    """
    size = request.get("maxResults", _LARGEST_PAGE)
    if not 1 <= size <= _LARGEST_PAGE:
        raise invalid_parameter("maxResults must be between 1 and 100.")
    token = request.get("nextToken", "0")
    if not (token.isascii() and token.isdigit() and len(token) <= 9):
        raise invalid_parameter("Invalid token.")
    start = int(token)
    answer: dict[str, Any] = {member: values[start : start + size]}
    if start + size < len(values):
        answer["nextToken"] = str(start + size)
    return answer
