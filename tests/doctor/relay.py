"""An endpoint that passes calls on to the embedded Fargate, and some answers changed back."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

import http_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    text: bytes


def relay(
    url: str, change: Callable[[str, Answer], Answer], *, later: float = 0.0
) -> AbstractContextManager[str]:
    """Run a relay.

    Args:
        url: The embedded Fargate's.
        change: Gets the operation and the answer, and returns what to pass on.
        later: Seconds that the answers' time of day is ahead of this host's.
    """

    def pass_on(asked: http_peer.Request) -> http_peer.Answer:
        request = urllib.request.Request(f"{url}/", asked.body, dict(asked.headers))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found = Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                found = Answer(error.code, error.read())
        target = asked.headers.get("X-Amz-Target", "").rpartition(".")[2]
        operation = target or parse_qs(asked.body.decode())["Action"][0]
        status, text = change(operation, found)
        date = formatdate(time.time() + later, usegmt=True)
        return http_peer.Answer(status, text, {"Date": date})

    return http_peer.serving(pass_on)
