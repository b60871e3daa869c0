"""Real HTTP servers for tests, whose answers a function gives."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: Message
    body: bytes


class Answer(NamedTuple):
    """An answer; a header that is given counts, also a wrong Content-Length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}


@contextmanager
def serving(
    answer: Callable[[Request], Answer | None],
    *,
    port: int = 0,
    context: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve on the loopback interface, each request in a thread and a connection of its own.

    Args:
        answer: Gets a request and gives its answer; None closes the connection without one.
        port: Where to listen; 0 for any free port.
        context: For TLS.

    Yields:
        The URL, without a slash at its end.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = answer(Request(self.command, self.path, self.headers, body))
            if not found:
                return
            self.send_response_only(found.status)
            for name, value in ({"Content-Length": str(len(found.body)), **found.headers}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.body)

        do_CONNECT = do_GET = do_PATCH = do_PUT = do_POST  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
