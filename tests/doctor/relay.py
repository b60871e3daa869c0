"""An endpoint that passes calls on to the embedded Fargate, and some answers changed back."""

from __future__ import annotations

import http.server
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    text: bytes


@contextmanager
def relay(
    url: str, change: Callable[[str, Answer], Answer], *, later: float = 0.0
) -> Iterator[str]:
    """Run a relay.

    Args:
        url: The embedded Fargate's.
        change: Gets the operation and the answer, and returns what to pass on.
        later: Seconds that the answers' time of day is ahead of this host's.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = urllib.request.Request(f"{url}/", body, dict(self.headers))
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found = Answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    found = Answer(error.code, error.read())
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            operation = target or parse_qs(body.decode())["Action"][0]
            status, text = change(operation, found)
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + later, usegmt=True))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
