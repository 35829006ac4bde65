"""One GET with one deadline for all of it, and the probes of an HTTP service and of a reverse proxy's ping
page.
"""

import base64
import http.client
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from bench.core.clock import monotonic_ns
from bench.stack.probes.connection import (
    EXCERPT_BYTES,
    ClosedAtOnce,
    Connection,
    ProbeError,
    probe_error,
    with_guess,
)
from bench.stack.probes.health import Facts
from bench.stack.target import State, Target

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
    """A value of an answer as a short printable word, whatever was sent; empty for anything else."""
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
    with Connection(target.host, target.port, deadline_s, tls=target.tls_context()) as server:
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
        """The first bytes of the answer, to guess what answers there."""
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


HEALTH_PATH = "/health"
_WELL = frozenset(
    ("ok", "up", "pass", "passed", "healthy", "green", "available", "ready", "connected", "true")
)
_STATE_KEYS = ("status", "state")
_COMPONENT_KEYS = ("components", "checks", "dependencies")


@dataclass(frozen=True, kw_only=True)
class HttpFacts(Facts):
    """What an HTTP service reports; `server` is the Server header."""

    status: int
    path: str
    """The path that was asked, after the host."""
    state: str
    """In its own words: ok, degraded..."""
    components: Mapping[str, str]
    """Its parts -> their states, in its own words."""

    def health(self) -> tuple[State, str]:
        """(state, detail): degraded where it, or one of its components, says something else than well."""
        away = [f"{name} {state}" for name, state in self.components.items() if not _is_well(state)]
        if self.state and not _is_well(self.state):
            return "degraded", ", ".join([f"says {self.state}", *away])
        return ("degraded", ", ".join(away)) if away else ("up", f"{self.status} for {self.path}")


def probe_http(target: Target, deadline_s: float = 5.0) -> HttpFacts:
    """GET the base path and /health; where there is no such page, the base path itself.

    Raises TargetError within `deadline_s`: for an answer of 500 and above too.
    """
    deadline = time.monotonic() + deadline_s
    path = target.path + HEALTH_PATH
    try:
        answer = http_get(target, path, deadline_s)
        if answer.status == 404:
            path = target.path or "/"
            answer = http_get(target, path, max(deadline - time.monotonic(), 0.001))
    except ProbeError as fact:
        raise probe_error(target, "an HTTP server", with_guess(target, fact)) from None
    reply = answer.json()
    if answer.status >= 500:
        raise _refusal(target, path, answer, reply)
    uptime = reply.get("uptime_s")
    return HttpFacts(
        status=answer.status,
        path=path,
        server=answer.server,
        version=word(reply.get("version")),
        state=next((word(reply[key]) for key in _STATE_KEYS if key in reply), ""),
        components=_components(reply),
        uptime_s=float(uptime) if isinstance(uptime, int | float) else None,
        answer_ns=answer.answer_ns,
    )


def _refusal(target: Target, path: str, answer: Answer, reply: Mapping[str, Any]) -> Exception:
    away = [f"{name} {state}" for name, state in _components(reply).items() if not _is_well(state)]
    found = f"the answer '{answer}'" + (f" with {', '.join(away)}" if away else "")
    advice = None
    if answer.status == 503:
        advice = "wait until it has started, or see to what it misses"
    return probe_error(target, f"an answer below 500 for GET {path}", found, advice)


def _components(reply: Mapping[str, Any]) -> dict[str, str]:
    for key in _COMPONENT_KEYS:
        parts = reply.get(key)
        if isinstance(parts, dict):
            return {word(name): _state(part) for name, part in parts.items() if _state(part)}
    return {}


def _state(part: Any) -> str:
    if isinstance(part, dict):
        return next((word(part[key]) for key in _STATE_KEYS if key in part), "")
    return word(part)


def _is_well(state: str) -> bool:
    return state.lower() in _WELL


BODY_LOOKED_AT_BYTES = 200


@dataclass(frozen=True, kw_only=True)
class ProxyFacts(Facts):
    """A proxy that answered its ping; `server` is the Server header."""

    body: str
    """The beginning of the answer's text."""

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        return "up", f"says {self.body}" if self.body else "an empty page"


def probe_proxy(target: Target, deadline_s: float = 5.0) -> ProxyFacts:
    """GET the path of the URL. Raises TargetError within `deadline_s`."""
    path = target.path or "/"
    try:
        answer = http_get(target, path, deadline_s)
    except ProbeError as fact:
        raise probe_error(target, "a reverse proxy", with_guess(target, fact)) from None
    if answer.status != 200:
        advice = f"switch the proxy's ping page on at {path}, or name its path in the URL"
        raise probe_error(target, f"200 for GET {path}", f"the answer '{answer}'", advice)
    text = answer.body[:BODY_LOOKED_AT_BYTES].decode(errors="replace")
    body = word(" ".join(text.split()))
    return ProxyFacts(server=answer.server, body=body, answer_ns=answer.answer_ns)
