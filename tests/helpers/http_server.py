"""An HTTP server of a few lines: it reads whole requests and answers with the bytes that a test gives it."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.stack.target import Target

JOIN_S = 60.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answerer:
    """One connection."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.socket = connection
        self.number = number
        self._unread = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_in_pieces(self, data: bytes, size: int = 1) -> None:
        """Every piece a segment of its own, as far as a loopback keeps them apart."""
        for start in range(0, len(data), size):
            self.socket.sendall(data[start : start + size])

    def requests(self) -> Iterator[Asked]:
        """Every request until the connection ends."""
        with contextlib.suppress(EOFError):
            while True:
                while (end := self._unread.find(b"\r\n\r\n")) < 0:
                    self._more()
                lines = self._unread[:end].decode().split("\r\n")
                method, path, version = lines[0].split(" ")
                assert version == "HTTP/1.1"
                headers = dict(line.split(": ", 1) for line in lines[1:])
                size = int(headers.get("Content-Length", 0))
                while len(self._unread) < end + 4 + size:
                    self._more()
                body = self._unread[end + 4 : end + 4 + size]
                self._unread = self._unread[end + 4 + size :]
                yield Asked(method, path, headers, body)

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError
        self._unread += data


Behaviour = Callable[[Answerer], None]


class LittleHttp:
    """Accepts on loopback; each connection is served by `behave` in a thread of its own."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def target(self) -> Target:
        return Target("api", "http", "127.0.0.1", self.port)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_S)
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(connection)
            thread = threading.Thread(target=self._serve, args=(Answerer(connection, self.accepted),))
            self.accepted += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, answerer: Answerer) -> None:
        with contextlib.suppress(OSError):
            self._behave(answerer)
        with contextlib.suppress(OSError):
            answerer.socket.shutdown(socket.SHUT_RDWR)


def always(answer: bytes, pieces: int = 0) -> Behaviour:
    """The same answer to every request, in pieces of so many bytes where it is not 0."""

    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            if pieces:
                answerer.send_in_pieces(answer, pieces)
            else:
                answerer.send(answer)

    return behave


def each_path_once(asked: list[Asked]) -> list[str]:
    """Paths with their numbers taken out."""
    return sorted({re.sub(r"\d+", "N", one.path) for one in asked})
