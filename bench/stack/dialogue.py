"""A conversation with a Redis server over a blocking socket, all of it within one deadline."""

import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

Reply = str | int | None
LINE_LIMIT_BYTES = 64 * 1024
BULK_LIMIT_BYTES = 4 * 1024 * 1024  # INFO is some 10 KB; anything near this is no answer to it
EXCERPT_BYTES = 60
REFUSED = "connection refused: nothing listens there"
_FIRST_BYTES = frozenset(b"+-:$*_%>")


class Unanswered(Exception):  # noqa: N818 - each of these states a fact about the other side
    """The other side did not answer as a Redis would; the text says what it did instead."""


class ErrorReply(Exception):  # noqa: N818 - the server's word for it
    """The server answered with an error; the text is the server's."""


class Dialogue:
    """One connection: ask a command, get its answer.

    Raises Unanswered, whose text completes "expected ..., found ...".
    """

    def __init__(self, host: str, port: int, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._deadline = time.monotonic() + deadline_s
        self._buffer = bytearray()
        self._socket = self._connect(host, port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, *words: str) -> Reply:
        """Send one command; a string, a number or None comes back. Raises ErrorReply, Unanswered."""
        encoded = [word.encode() for word in words]
        request = b"".join(
            [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
        )
        try:
            self._socket.settimeout(self._left_s(words[0]))
            self._socket.sendall(request)
            return self._read_reply(words[0])
        except TimeoutError:
            raise self._silence(words[0]) from None
        except OSError as error:
            raise Unanswered(f"a connection that broke on {words[0]} ({_reason(error)})") from None

    def _connect(self, host: str, port: int) -> socket.socket:
        addresses = resolve(host, port, self._deadline_s)
        problem = "no address"
        for index, (family, address) in enumerate(addresses):
            left_s = max(self._deadline - time.monotonic(), 0.001)
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.settimeout(left_s / (len(addresses) - index))
            try:
                connection.connect(address)
            except TimeoutError:
                problem = f"no answer to the connection attempt within {self._deadline_s:g} s"
            except ConnectionRefusedError:
                problem = REFUSED
            except OSError as error:
                problem = f"no connection ({_reason(error)})"
            else:
                if connection.getsockname() != connection.getpeername():
                    return connection
                # Nobody listens there, and the kernel gave this very port to our end.
                problem = REFUSED
            connection.close()
        raise Unanswered(problem)

    def _read_reply(self, command: str) -> Reply:
        line = self._read_line(command)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode(errors="replace")
        if kind == b"-":
            raise ErrorReply(rest.decode(errors="replace"))
        if kind in (b":", b"$") and rest.removeprefix(b"-").isdigit():
            number = int(rest)
            if kind == b":":
                return number
            if number < 0:
                return None
            if number <= BULK_LIMIT_BYTES:
                while len(self._buffer) < number + 2:
                    self._receive(command)
                bulk = bytes(self._buffer[:number])
                del self._buffer[: number + 2]
                return bulk.decode(errors="replace")
        raise Unanswered(_not_redis(line + b"\r\n" + bytes(self._buffer)))

    def _read_line(self, command: str) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            # An answer is known by its first byte: no need to wait for more of something else.
            if self._buffer and (self._buffer[0] not in _FIRST_BYTES or len(self._buffer) > LINE_LIMIT_BYTES):
                break
            self._receive(command)
        else:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            return line
        raise Unanswered(_not_redis(bytes(self._buffer)))

    def _receive(self, command: str) -> None:
        self._socket.settimeout(self._left_s(command))
        received = self._socket.recv(64 * 1024)
        if not received:
            begun = f" after {_quoted(bytes(self._buffer))}" if self._buffer else " without a word"
            raise Unanswered(f"a server that closed the connection on {command}{begun}")
        self._buffer += received

    def _left_s(self, command: str) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise self._silence(command)
        return left_s

    def _silence(self, command: str) -> Unanswered:
        begun = f", only {_quoted(bytes(self._buffer))}" if self._buffer else ""
        return Unanswered(f"no complete answer to {command} within {self._deadline_s:g} s{begun}")


def resolve(host: str, port: int, deadline_s: float) -> list[tuple[int, tuple[Any, ...]]]:
    """The addresses of a host: (family, what connect wants). Raises Unanswered."""
    found: list[tuple[int, tuple[Any, ...]]] = []
    problem = f"no answer from the name service within {deadline_s:g} s"

    def look_up() -> None:
        nonlocal problem
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((family, address) for family, _, _, _, address in entries)
        except (OSError, UnicodeError) as error:
            problem = f"a host name that has no address ({_reason(error)})"

    # The system's look-up knows no deadline, so it gets a thread that can be left behind.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(deadline_s)
    if not found:
        raise Unanswered(problem)
    return list(found)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _not_redis(received: bytes) -> str:
    guesses = {
        b"HTTP/": "an HTTP server",
        b"\x15\x03": "a TLS server",
        b"SSH-": "an SSH server",
        b"*1\r\n$4\r\nPING": "a server that echoes what it is sent",
    }
    for beginning, guess in guesses.items():
        if received.startswith(beginning):
            return f"{guess}, saying {_quoted(received)}"
    return f"something that is not a Redis, saying {_quoted(received)}"


def _quoted(received: bytes) -> str:
    text = repr(bytes(received[:EXCERPT_BYTES]))[1:]
    return text + " and more" if len(received) > EXCERPT_BYTES else text
