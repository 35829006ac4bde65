"""Servers of a few lines that answer with the bytes of a case, whole or cut, and then do what the case says.

What is asked for names the case: the path of an HTTP request, the key `case:NAME` of a Redis command.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.parity.split_tls import SplitTls

KEEP, CLOSE, DROP, RESET, SILENCE = "keeps", "closes", "drops", "resets", "is silent"
"""What a server does behind its answer. One that closes still reads, one that drops the connection does not;
a silent one answers nothing more.
"""

JOIN_S = 60.0
PACE_S = 0.005
"""Between two pieces of what has no end: the servers share a processor with the engine."""

GREETINGS = {
    b"PING": b"+PONG\r\n",
    b"INFO": b"$21\r\nredis_version:7.2.0\r\n\r\n",
    b"MULTI": b"+OK\r\n",
    b"INCR": b"+QUEUED\r\n",
}
SSL_REQUEST = (80877103).to_bytes(4)
HELLO_3 = b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"


@dataclass(frozen=True)
class Answer:
    """What a case's server says, and then does."""

    data: bytes = b""
    then: str = KEEP
    endless: bytes = b""
    """Said behind `data` again and again until the client has enough of it."""
    is_early: bool = False
    """Said when the head of a request is there, and before its body is read."""


class Link:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, number: int, cut: int) -> None:
        self.socket = connection
        self.number = number
        self._cut = cut
        self._unread = b""

    def give(self, answer: Answer) -> bool:
        """Answer as the case says; False when this connection is to answer nothing more."""
        size = self._cut or max(len(answer.data), 1)
        for start in range(0, len(answer.data), size):
            self.socket.sendall(answer.data[start : start + size])
        while answer.endless:
            self.socket.sendall(answer.endless)
            time.sleep(PACE_S)
        if answer.then == RESET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        elif answer.then == CLOSE:
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(1 << 20):
                pass
        elif answer.then == SILENCE:
            while self.socket.recv(1 << 20):
                pass
        return answer.then == KEEP

    def line(self) -> bytes:
        """Up to the next line's end, without it."""
        while (end := self._unread.find(b"\r\n")) < 0:
            self._more()
        found, self._unread = self._unread[:end], self._unread[end + 2 :]
        return found

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._unread) < size:
            self._more()
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError
        self._unread += data


Serve = Callable[[Link], None]


class RawServer:
    """Accepts on loopback or at a socket file; each connection is served in a thread of its own."""

    def __init__(
        self,
        serve: Serve,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        cut: int = 0,
        tls: ssl.SSLContext | None = None,
        asks_first: bool = False,
        file: str | None = None,
    ) -> None:
        self._serve_one = serve
        self._cut = cut
        self._tls = tls
        self._asks_first = asks_first
        """Whether a client asks for TLS before it begins with it, as those of PostgreSQL do."""
        if file is None:
            self._listener = socket.create_server((address, port), backlog=1024)
            self.port: int = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(file)
            self._listener.listen(1024)
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(connection)
            link = Link(connection, self.accepted, self._cut)
            self.accepted += 1
            self._threads.append(threading.Thread(target=self._serve, args=(link,), daemon=True))
            self._threads[-1].start()

    def _serve(self, link: Link) -> None:
        with contextlib.suppress(OSError, EOFError), link.socket as plain:
            if self._tls is not None:
                if self._asks_first and plain.recv(8):
                    plain.sendall(b"S")
                link.socket = SplitTls(plain, self._tls)  # type: ignore[assignment]  # as much of one as is used
            self._serve_one(link)

    def break_connections(self) -> None:
        """Every one that is open."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and break every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(JOIN_S)
        self.break_connections()
        for thread in self._threads:
            thread.join(JOIN_S)


def redis(cases: Mapping[str, Answer]) -> Serve:
    """Answers a command with `case:NAME` in it, or the EXEC behind it, with its case; all else with +OK."""

    def serve(link: Link) -> None:
        asked = ""
        while True:
            words = [link.take(int(link.line()[1:]) + 2)[:-2] for _ in range(int(link.line()[1:]))]
            command = words[0].upper()
            found = re.search(rb"case:([a-z0-9_]+)", b" ".join(words))
            asked = found[1].decode() if found else asked
            if command == b"EXEC" or (found and command not in GREETINGS):
                if not link.give(cases[asked]):
                    return
            elif command == b"HELLO":
                link.socket.sendall(HELLO_3)
            else:
                link.socket.sendall(GREETINGS.get(command, b"+OK\r\n"))

    return serve


def http(cases: Mapping[str, Answer]) -> Serve:
    """Answers each path with its case."""

    def serve(link: Link) -> None:
        for name, size in _requests(link):
            answer = cases[name]
            if not answer.is_early:
                link.take(size)
            if not link.give(answer):
                return

    return serve


def _requests(link: Link) -> Iterator[tuple[str, int]]:
    """The path of each request without its slash, and how many bytes of a body follow its head."""
    while True:
        name = link.line().split(b" ")[1].decode().lstrip("/")
        size = 0
        while header := link.line():
            if header.lower().startswith(b"content-length:"):
                size = int(header.partition(b":")[2])
        yield name, size


def postgres(cases: Mapping[str, Answer], backend: tuple[str, int]) -> Serve:
    """A real PostgreSQL, but statements with `case_NAME` in them are executed as their case says."""

    def serve(link: Link) -> None:
        with socket.create_connection(backend) as behind:
            threading.Thread(target=_pass_on, args=(behind, link.socket), daemon=True).start()
            try:
                _ask_behind(link, behind, cases)
            finally:
                behind.shutdown(socket.SHUT_RDWR)

    return serve


def _pass_on(behind: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := behind.recv(1 << 16):
            to.sendall(data)
        to.shutdown(socket.SHUT_RDWR)


def _ask_behind(link: Link, behind: socket.socket, cases: Mapping[str, Answer]) -> None:
    while True:
        length = link.take(4)
        start = length + link.take(int.from_bytes(length) - 4)
        behind.sendall(start)
        if start[4:8] != SSL_REQUEST:
            break
    known: dict[bytes, str] = {}
    while True:
        header = link.take(5)
        body = link.take(int.from_bytes(header[1:]) - 4)
        words = body.split(b"\0", 2)
        if header[:1] == b"P" and (found := re.search(rb"case_([a-z0-9_]+)", words[1])):
            known[words[0]] = found[1].decode()
        if header[:1] == b"B" and words[1] in known:
            while (header := link.take(5))[:1] != b"S":
                link.take(int.from_bytes(header[1:]) - 4)
            if not link.give(cases[known[words[1]]]):
                return
            continue
        behind.sendall(header + body)
