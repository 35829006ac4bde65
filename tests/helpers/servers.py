"""Servers of a few lines that behave as a test needs: right, slow, wrong, or gone.

A server logs every lane in as a Redis would, then hands the connection to its behaviour, which
gets commands and sends bytes. What each connection sent after its login is kept.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from bench.stack.target import Target

LOGIN = (b"AUTH", b"HELLO", b"SELECT", b"CLIENT", b"PING")
JOIN_S = 60.0


class Talk:
    """One accepted connection, past its login."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.socket = connection
        self.number = number
        self.sent_to_us = bytearray()
        self._unread = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def commands(self) -> Iterator[list[bytes]]:
        """Every command until the connection ends."""
        with contextlib.suppress(EOFError):
            while True:
                yield self._command()

    def log_in(self) -> bool:
        """Answer the greeting; False when the connection ended before its PING."""
        with contextlib.suppress(EOFError):
            while True:
                words = self._command()
                self.sent_to_us.clear()
                assert words[0] in LOGIN
                self.send(b"+PONG\r\n" if words[0] == b"PING" else b"+OK\r\n")
                if words[0] == b"PING":
                    return True
        return False

    def _command(self) -> list[bytes]:
        count = self._header(b"*")
        words = []
        for _ in range(count):
            size = self._header(b"$")
            words.append(self._take(size + 2)[:-2])
        return words

    def _header(self, kind: bytes) -> int:
        while (end := self._unread.find(b"\r\n")) < 0:
            self._more()
        line = self._take(end + 2)
        assert line[:1] == kind, line
        return int(line[1:-2])

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._more()
        taken, self._unread = self._unread[:size], self._unread[size:]
        self.sent_to_us += taken
        return taken

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError
        self._unread += data


Behaviour = Callable[[Talk], None]


class LittleServer:
    """Accepts on loopback; each connection is served by `behave` in a thread of its own."""

    def __init__(self, behave: Behaviour, log_in: Callable[[Talk], bool] = Talk.log_in) -> None:
        self._behave = behave
        self._log_in = log_in
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.talks: list[Talk] = []
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def target(self) -> Target:
        return Target("redis", "redis", "127.0.0.1", self.port)

    @property
    def streams(self) -> list[bytes]:
        """What each logged-in connection sent, in the order of acceptance."""
        return [bytes(talk.sent_to_us) for talk in sorted(self.talks, key=lambda talk: talk.number)]

    @property
    def commands(self) -> list[bytes]:
        """Every command of every connection as it was sent, sorted."""
        marked = [stream.replace(b"\r\n*", b"\r\n\0*") for stream in self.streams]
        return sorted(command for stream in marked for command in stream.split(b"\0") if command)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = Talk(connection, len(self._connections))
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(talk,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, talk: Talk) -> None:
        with contextlib.suppress(OSError), talk.socket:
            if self._log_in(talk):
                self.talks.append(talk)
                self._behave(talk)

    def stop_listening(self) -> None:
        """From now on nobody answers at the port; open connections stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def drop_all(self) -> None:
        """Break every connection."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.stop_listening()
        self._threads[0].join(JOIN_S)
        self.drop_all()
        for thread in self._threads:
            thread.join(JOIN_S)


def answer(reply: bytes = b"+OK\r\n") -> Behaviour:
    """Answer every command with the same bytes."""

    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(reply)

    return behave


def read_only(talk: Talk) -> None:
    """Read and never answer."""
    for _ in talk.commands():
        pass
