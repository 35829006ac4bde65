"""A conversation with a Redis server over a blocking socket, all of it within one deadline."""

from types import TracebackType
from typing import Self

from bench.stack.probes.connection import Connection

Reply = str | int | None
LINE_LIMIT_BYTES = 64 * 1024
BULK_LIMIT_BYTES = 4 * 1024 * 1024  # INFO is some 10 KB; anything near this is no answer to it
_FIRST_BYTES = frozenset(b"+-:$*_%>")


class ErrorReply(Exception):  # noqa: N818 - the server's word for it
    """The server answered with an error; the text is the server's."""


class RespClient:
    """One connection: ask a command, get its answer.

    Raises ProbeError, whose text completes "expected ..., found ...".
    """

    def __init__(self, host: str, port: int, deadline_s: float) -> None:
        self._connection = Connection(host, port, deadline_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, *words: str) -> Reply:
        """Send one command; a string, a number or None comes back. Raises ErrorReply, ProbeError."""
        encoded = [word.encode() for word in words]
        request = b"".join(
            [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
        )
        self._connection.send(request, words[0])
        return self._read_reply(words[0])

    def _read_reply(self, command: str) -> Reply:
        line = self._read_line(command)
        kind, rest = line[:1], line[1:]
        buffer = self._connection.buffer
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
                while len(buffer) < number + 2:
                    self._connection.receive_more(command)
                bulk = bytes(buffer[:number])
                del buffer[: number + 2]
                return bulk.decode(errors="replace")
        raise self._connection.something_else("a Redis", line + b"\r\n" + bytes(buffer))

    def _read_line(self, command: str) -> bytes:
        buffer = self._connection.buffer
        while (end := buffer.find(b"\r\n")) < 0:
            # An answer is known by its first byte: no need to wait for more of something else.
            if buffer and (buffer[0] not in _FIRST_BYTES or len(buffer) > LINE_LIMIT_BYTES):
                raise self._connection.something_else("a Redis", bytes(buffer))
            self._connection.receive_more(command)
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line
