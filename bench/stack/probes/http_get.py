"""One GET over a connection with one deadline for all of it, however slowly the server talks."""

import base64
import http.client
import io
import json
from dataclasses import dataclass
from typing import Any, cast

from bench.core.clock import monotonic_ns
from bench.stack.probes.connection import EXCERPT_BYTES, ClosedAtOnce, Connection, ProbeError
from bench.stack.target import Target

BODY_LIMIT_BYTES = 1024 * 1024
WORD_CHARACTERS = 40


@dataclass(frozen=True)
class Answer:
    """What came back for a GET."""

    status: int
    reason: str
    server: str
    """The Server header, empty where there is none."""
    body: bytes
    """Its first mebibyte."""
    answer_ns: int
    """From before the connection was made to the end of the answer."""

    def json(self) -> dict[str, Any]:
        """The object in the body, empty when there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".strip()


def word(value: object) -> str:
    """A value of an answer as a short printable word, whatever was sent; empty for what is none."""
    if not isinstance(value, str | int | float):
        return ""
    return "".join(letter for letter in str(value)[:WORD_CHARACTERS] if letter.isprintable())


def http_get(target: Target, path: str, deadline_s: float) -> Answer:
    """GET `path` of the target; its base path is not added. Raises ProbeError.

    The credentials of the URL go along as Basic authentication.
    """
    begin = monotonic_ns()
    path = path or "/"
    question = f"GET {path}"
    with Connection(target.host, target.port, deadline_s, tls=target.tls) as server:
        plug = _Plug(server, question)
        exchange = http.client.HTTPConnection(target.host, target.port)
        exchange.sock = cast("Any", plug)  # the three methods are all that it uses of a socket
        try:
            exchange.request("GET", path, headers=_headers(target))
            response = exchange.getresponse()
            body = response.read(BODY_LIMIT_BYTES)
            if response.length and len(body) < BODY_LIMIT_BYTES:
                raise http.client.IncompleteRead(body, response.length)
        except http.client.RemoteDisconnected:
            raise ClosedAtOnce(f"a server that closed the connection on {question} without a word") from None
        except (http.client.HTTPException, ValueError) as error:
            if plug.heard.startswith(b"HTTP/"):
                found = f"an HTTP answer that cannot be read ({type(error).__name__})"
                raise ProbeError(found) from None
            raise server.something_else("an HTTP server", plug.heard) from None
        return Answer(
            status=response.status,
            reason=response.reason,
            server=response.headers.get("Server", ""),
            body=body,
            answer_ns=monotonic_ns() - begin,
        )


def _headers(target: Target) -> dict[str, str]:
    headers = {"Connection": "close", "Accept": "application/json, */*", "User-Agent": "holdfast"}
    if target.username or target.password:
        words = f"{target.username or ''}:{target.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(words).decode()}"
    return headers


class _Plug:
    """A connection as http.client wants its socket."""

    def __init__(self, server: Connection, question: str) -> None:
        self.heard = b""
        """The first bytes of the answer, to tell what talks there."""
        self._server = server
        self._question = question

    def sendall(self, request: bytes) -> None:
        self._server.send(request, self._question)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - "rb" is the only one it asks for
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Nothing: http.client closes before it reads the body, as sockets and their files allow."""

    def read_into(self, place: memoryview) -> int:
        buffer = self._server.buffer
        if not buffer and not self._server.receive(self._question):
            return 0
        piece = bytes(buffer[: len(place)])
        del buffer[: len(place)]
        place[: len(piece)] = piece
        self.heard += (
            piece[: EXCERPT_BYTES + 1 - len(self.heard)] if len(self.heard) <= EXCERPT_BYTES else b""
        )
        return len(piece)


class _Incoming(io.RawIOBase):
    def __init__(self, plug: _Plug) -> None:
        self._plug = plug

    def readable(self) -> bool:
        return True

    def readinto(self, place: Any) -> int:
        return self._plug.read_into(memoryview(place))
