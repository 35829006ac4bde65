"""A small HTTP server that does what its paths say: answers, is slow, hangs, breaks off."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_S = 0.4


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1  # type: ignore[attr-defined]
        self.server.logins.add(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        if path == "/slow":
            threading.Event().wait(SLOW_S)
        if path == "/hang":
            self.server.ending.wait(60)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        if path == "/reset":
            # Closing with linger 0 sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        body = b"hello"
        self.send_response(500 if path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        pass


class TroubledShop(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.logins: set[str | None] = set()
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that broke off is what some tests are about."""

    def close(self) -> None:
        self.ending.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
