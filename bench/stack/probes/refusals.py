"""What a target refuses: whoever names no password, and whoever comes without TLS.

Each is asked by a real connection to the address of the load, within a deadline. An answer that could
mean either is none: None, with the reason.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from bench.core.errors import TargetError
from bench.stack.probes.connection import Connection, NoConnection, ProbeError, expect_postgres
from bench.stack.probes.http import http_get
from bench.stack.probes.redis import ErrorReply, RespClient
from bench.stack.target import Target

DEADLINE_S = 5.0
LET_IN = "lets in whoever names no password"
NOT_ASKED = "cannot be asked of a target of kind"
INVALID_AUTHORIZATION = "28"
"""How the SQLSTATEs begin with which a Postgres turns somebody away."""
MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """Whether it holds, and the sentence; None where that cannot be told."""

    holds: bool | None
    said: str


def refuses_without_password(target: Target, path: str = "/", deadline_s: float = DEADLINE_S) -> Answer:
    """Ask as somebody who has no password; over HTTP for `path`, below that of the target."""
    stranger = replace(target, password=None, username=target.username if target.kind == "postgres" else None)
    return _asked(_WITHOUT_PASSWORD, stranger, path, deadline_s)


def refuses_without_tls(target: Target, path: str = "/", deadline_s: float = DEADLINE_S) -> Answer:
    """Ask in plain text at the very address that the load uses, and with the credentials it has no use of."""
    plain = replace(target, tls=None, password=None, username=target.username and "holdfast")
    return _asked(_WITHOUT_TLS, plain, path, deadline_s)


_Ask = Callable[[Target, str, float], Answer]


def _asked(by_kind: dict[str, _Ask], target: Target, path: str, deadline_s: float) -> Answer:
    ask = by_kind.get(target.kind)
    if ask is None:
        return Answer(None, f"{NOT_ASKED} {target.kind}")
    try:
        return ask(target, path, deadline_s)
    except NoConnection as fact:
        return Answer(None, f"it could not be asked: {fact}")
    except (ProbeError, TargetError) as fact:
        return Answer(None, f"its answer says neither: {fact}")


def _redis_without_password(target: Target, _: str, deadline_s: float) -> Answer:
    with RespClient.of(target, deadline_s) as server:
        try:
            server.ask("PING")
        except ErrorReply as reply:
            is_refusal = str(reply).startswith(("NOAUTH", "DENIED", "NOPERM", "WRONGPASS"))
            return Answer(True if is_refusal else None, f"answers '{reply}'"[:160])
    return Answer(False, LET_IN)


def _redis_without_tls(target: Target, _: str, deadline_s: float) -> Answer:
    try:
        with RespClient.of(target, deadline_s) as server:
            server.ask("PING")
    except ErrorReply:
        pass
    except NoConnection:
        raise
    except ProbeError as fact:
        if "within" in str(fact):
            raise  # silence says neither
        return Answer(True, "answers nothing in plain text")
    return Answer(False, "answers in plain text")


def _http_without_password(target: Target, path: str, deadline_s: float) -> Answer:
    where = target.path + path
    answer = http_get(target, where, deadline_s)
    said = f"GET {where} without a password is answered {answer}"
    if answer.status in (401, 403, 407):
        return Answer(True, said)
    return Answer(False if 200 <= answer.status < 300 else None, said)


def _http_without_tls(target: Target, path: str, deadline_s: float) -> Answer:
    where = target.path + path
    try:
        answer = http_get(target, where, deadline_s)
    except NoConnection:
        raise
    except ProbeError as fact:
        if "within" in str(fact):
            raise
        return Answer(True, "answers nothing in plain text")
    said = f"GET {where} in plain text is answered {answer}"
    # 400 and 426 are how servers answer plain text at a port of TLS; a redirect serves nothing.
    return Answer(answer.status in (301, 302, 307, 308, 400, 426), said)


def _postgres_without_password(target: Target, _: str, deadline_s: float) -> Answer:
    with Connection(target.host, target.port, deadline_s) as server:
        if target.tls is not None:
            expect_postgres(server)
            if bytes(server.buffer) != b"S":
                return Answer(None, "it has no TLS, which the target's address asks for")
            context = target.tls_context()
            assert context is not None
            server.secure(context, target.host)
        kind, body = _first_message(server, target)
    if kind == b"R":
        method = struct.unpack("!i", body[:4])[0] if len(body) >= 4 else 0
        return Answer(bool(method), "asks for a password" if method else LET_IN)
    code, message = _error(body)
    refused = kind == b"E" and code.startswith(INVALID_AUTHORIZATION)
    return Answer(True if refused else None, f"answers '{message}' ({code})")


def _postgres_without_tls(target: Target, _: str, deadline_s: float) -> Answer:
    with Connection(target.host, target.port, deadline_s) as server:
        kind, body = _first_message(server, target)
    if kind == b"R":
        return Answer(False, "goes on with a log-in in plain text")
    code, message = _error(body)
    # Poolers say so with a code of the protocol.
    refused = code.startswith(INVALID_AUTHORIZATION) or "ssl" in message.lower()
    return Answer(True if kind == b"E" and refused else None, f"answers '{message}' ({code})")


def _first_message(server: Connection, target: Target) -> tuple[bytes, bytes]:
    """(kind, contents) of what a Postgres answers to somebody who begins a session. Raises ProbeError."""
    user = target.username or "postgres"
    words = ("user", user, "database", target.database or user)
    start = b"\x00\x03\x00\x00" + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    question = "the beginning of a session"
    server.buffer.clear()
    server.send(struct.pack("!i", len(start) + 4) + start, question)
    while len(server.buffer) < 5:
        server.receive_more(question)
    kind, length = bytes(server.buffer[:1]), struct.unpack("!i", server.buffer[1:5])[0]
    if kind not in (b"R", b"E") or not 4 <= length <= MOST_BYTES:
        raise server.something_else("a Postgres", bytes(server.buffer))
    while len(server.buffer) < 1 + length:
        server.receive_more(question)
    return kind, bytes(server.buffer[5 : 1 + length])


def _error(body: bytes) -> tuple[str, str]:
    """(SQLSTATE, message) of an error."""
    fields = {}
    for part in body.split(b"\0"):
        with suppress(UnicodeDecodeError):
            fields[part[:1]] = part[1:].decode()
    return fields.get(b"C", "no code"), " ".join(fields.get(b"M", "no message").split())[:160]


_WITHOUT_PASSWORD: dict[str, _Ask] = {
    "redis": _redis_without_password,
    "http": _http_without_password,
    "postgres": _postgres_without_password,
}
_WITHOUT_TLS: dict[str, _Ask] = {
    "redis": _redis_without_tls,
    "http": _http_without_tls,
    "postgres": _postgres_without_tls,
}
