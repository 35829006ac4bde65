"""A real HTTP server, with TLS where wanted, which can be taken away and started again at its port."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading

from bench.stack.target import Target
from bench.stack.tls import TlsSettings


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.open_sockets.add(self.connection)  # type: ignore[attr-defined]  # RealHttp's own

    def finish(self) -> None:
        self.server.open_sockets.discard(self.connection)  # type: ignore[attr-defined]  # RealHttp's own
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
    block_on_close = False

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.open_sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *arguments: object) -> None:
        """A client that goes away is no news."""


class RealHttp:
    """Answers every GET with `ok`."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.start()

    @property
    def target(self) -> Target:
        return Target("api", "http", "127.0.0.1", self.port, tls=TlsSettings() if self._context else None)

    def start(self) -> None:
        """Listen, at the port of the time before where there was one."""
        self._server = _Server(self.port, self._context)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Close the port and break every connection. Again is harmless."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for one in list(self._server.open_sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._server = None
