"""A RESP client over a blocking socket, and the probe that asks a Redis who it is."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.stack.cluster import SLOTS
from bench.stack.probes.connection import (
    Connection,
    NoConnection,
    ProbeError,
    advice_for,
    probe_error,
    with_guess,
)
from bench.stack.probes.health import Facts
from bench.stack.sentinel import NotLocated
from bench.stack.target import State, Target, address_of

Reply = str | int | None
Nested = Reply | list["Nested"]
LINE_LIMIT_BYTES = 64 * 1024
BULK_LIMIT_BYTES = 4 * 1024 * 1024  # INFO is some 10 KB; anything near this is no answer to it
LIST_LIMIT, DEEPEST = 1024, 4
"""Entries of a list in an answer, and how deep lists may stand in lists."""
_FIRST_BYTES = frozenset(b"+-:$*_%>")


class ErrorReply(Exception):  # noqa: N818 - the server's word for it
    """The server answered with an error; the text is the server's."""


def auth_words(target: Target) -> tuple[str, ...] | None:
    """The command that logs in as the URL says; None where it names no password."""
    if target.password is None:
        return None
    return ("AUTH", *([target.username] if target.username else []), target.password)


def login_commands(target: Target) -> list[tuple[str, ...]]:
    """What a connection to the target begins with: its credentials and its database, where it names them."""
    words = auth_words(target)
    return ([words] if words else []) + ([("SELECT", str(target.db))] if target.db else [])


class RespClient:
    """One connection: ask a command, get its answer.

    Raises ProbeError, whose text completes "expected ..., found ...".
    """

    def __init__(self, host: str, port: int, deadline_s: float, *, tls: ssl.SSLContext | None = None) -> None:
        self._connection = Connection(host, port, deadline_s, tls=tls)

    @classmethod
    def of(cls, target: Target, deadline_s: float) -> Self:
        """A connection to the target, not logged in. Raises ProbeError; TargetError for its TLS files."""
        try:
            here = target.located(deadline_s)
        except NotLocated as error:
            raise NoConnection(str(error)) from None
        return cls(here.host, here.port, deadline_s, tls=here.tls_context())

    @classmethod
    def logged_in(cls, target: Target, deadline_s: float) -> Self:
        """A connection with the credentials of the target. Raises ProbeError, ErrorReply."""
        client = cls.of(target, deadline_s)
        try:
            client.log_in(target)
        except BaseException:
            client.close()
            raise
        return client

    def log_in(self, target: Target) -> None:
        """Send the credentials of the target, if it has any. Raises ProbeError, ErrorReply."""
        if (words := auth_words(target)) is not None:
            self.ask(*words)

    def renew(self, deadline_s: float) -> None:
        """All that follows may take that long, as on a new connection."""
        self._connection.renew(deadline_s)

    def close(self) -> None:
        """Close it. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, *words: str) -> Reply:
        """Send one command; a string, a number or None comes back. Raises ErrorReply, ProbeError."""
        self._send(*words)
        return self._read_reply(words[0], self._read_line(words[0]))

    def ask_list(self, *words: str) -> list[Nested]:
        """Send one command whose answer is a list, perhaps of lists. Raises ErrorReply, ProbeError."""
        self._send(*words)
        found = self._read_nested(words[0], DEEPEST)
        return found if isinstance(found, list) else [found]

    def _send(self, *words: str) -> None:
        encoded = [word.encode() for word in words]
        request = b"".join(
            [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
        )
        self._connection.send(request, words[0])

    def _read_nested(self, command: str, depth: int) -> Nested:
        line = self._read_line(command)
        if depth and line[:1] == b"*" and line[1:].isdigit() and int(line[1:]) <= LIST_LIMIT:
            return [self._read_nested(command, depth - 1) for _ in range(int(line[1:]))]
        return self._read_reply(command, line)

    def _read_reply(self, command: str, line: bytes) -> Reply:
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


@dataclass(frozen=True, kw_only=True)
class RedisFacts(Facts):
    """What a Redis, or a Valkey, reports. Empty or None too where it would not report it to this user."""

    mode: str
    """standalone, cluster or sentinel."""
    role: str
    """master or slave: the server's words."""
    process_id: int | None
    maxmemory_bytes: int | None
    """0 is no limit."""
    maxmemory_policy: str
    is_aof_on: bool | None
    shape: str = ""
    """Of a whole cluster: how many of its nodes are what."""
    ill: str = ""
    """Its nodes with which something is wrong."""

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        if self.shape:
            return (
                ("degraded", f"{self.shape}; {self.ill}") if self.ill else ("up", f"cluster of {self.shape}")
            )
        return "up", " ".join(filter(None, (self.mode, self.role))) or "it may not be asked for INFO"


def probe_redis(target: Target, deadline_s: float = 5.0) -> RedisFacts:
    """Log in as the load will, and read INFO. Raises TargetError within `deadline_s`.

    PING goes first, so a password is only ever sent to what answers as a Redis. A cluster is asked as a
    whole.
    """
    if target.nodes:
        return _probe_cluster(target, deadline_s)
    try:
        with RespClient.of(target, deadline_s) as server:
            begin = monotonic_ns()
            _expect_redis(target, server)
            answer_ns = monotonic_ns() - begin
            _log_in(target, server)
            _select(target, server)
            return _facts(_ask_info(server), answer_ns)
    except ProbeError as fact:
        raise probe_error(target, "a Redis server", with_guess(target, fact)) from None


def _probe_cluster(target: Target, deadline_s: float) -> RedisFacts:
    """Ask a node for all of them, and every primary whether it serves its slots. Raises TargetError."""
    begin = monotonic_ns()
    try:
        view = target.cluster_view(deadline_s)
    except NotLocated as error:
        advice = "check the addresses of the nodes, and whether they are in cluster mode"
        raise probe_error(target, "a node that knows the cluster", str(error), advice, "absent") from None
    primaries = view.primaries
    if view.uncovered:
        advice = "see CLUSTER NODES: a primary has failed, or slots were never assigned"
        raise probe_error(
            target,
            f"all {SLOTS} slots to be served",
            f"{view.uncovered} that nobody serves",
            advice,
            "starting",
        )
    each_s = max(deadline_s - (monotonic_ns() - begin) / NS_PER_S, 0.01) / len(primaries)
    facts = []
    for node in primaries:
        here = target.at(*node.endpoint)
        facts.append(probe_redis(here, each_s))
        if (said := _cluster_state(here, each_s)) not in ("ok", ""):
            raise probe_error(here, "cluster_state:ok", f"cluster_state:{said}", "see its log", "starting")
    ill = [node for node in view.nodes if not node.is_sound]
    return replace(
        facts[0],
        answer_ns=monotonic_ns() - begin,
        shape=f"{len(primaries)} primaries, {len(view.replicas)} replicas",
        ill=", ".join(f"{address_of(*node.endpoint)} {','.join(sorted(node.flags))}" for node in ill),
    )


def _cluster_state(node: Target, deadline_s: float) -> str:
    """What a node says of the whole; empty where this user may not ask. Raises TargetError."""
    try:
        with RespClient.logged_in(node, deadline_s) as server:
            lines = str(server.ask("CLUSTER", "INFO")).splitlines()
    except ProbeError as fact:
        raise probe_error(node, "a Redis server", str(fact)) from None
    except ErrorReply:
        return ""
    return dict(line.split(":", 1) for line in lines if ":" in line).get("cluster_state", "")


def _expect_redis(target: Target, server: RespClient) -> None:
    try:
        answer = server.ask("PING")
    except ErrorReply as reply:
        if target.password is not None and str(reply).startswith(("NOAUTH", "NOPERM")):
            return  # a Redis that wants to know who asks
        if str(reply).startswith("NOAUTH"):
            advice = "put the password into the URL: redis://:password@host:port"
            raise probe_error(
                target, "to be let in without a password", f"the answer '{reply}'", advice
            ) from None
        if "max number of clients" in str(reply):
            advice = "end unused connections, or raise maxclients"
            raise probe_error(target, "a free connection", f"the answer '{reply}'", advice) from None
        if str(reply).startswith("LOADING"):
            advice = "wait until it has loaded its data, or let --wait do so for longer"
            raise probe_error(target, "+PONG", str(reply), advice, "starting") from None
        raise probe_error(target, "+PONG", f"the answer '{reply}'", advice_for(target)) from None
    if answer != "PONG":
        raise probe_error(target, "+PONG", f"the answer '{answer}'", advice_for(target))


def _log_in(target: Target, server: RespClient) -> None:
    try:
        server.log_in(target)
    except ErrorReply as reply:
        raise probe_error(
            target,
            "to be let in with the given password",
            f"the answer '{reply}'",
            "check the user name and the password, or leave both out if the server wants none",
        ) from None


def _select(target: Target, server: RespClient) -> None:
    if target.db == 0:
        return
    try:
        server.ask("SELECT", str(target.db))
    except ErrorReply as reply:
        raise probe_error(
            target, f"database {target.db}", f"the answer '{reply}'", "use a database that the server has"
        ) from None


def _ask_info(server: RespClient) -> Mapping[str, str]:
    try:
        text = server.ask("INFO")
    except ErrorReply:
        return {}  # a user whose ACL has no INFO can still be measured
    lines = text.splitlines() if isinstance(text, str) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _facts(info: Mapping[str, str], answer_ns: int) -> RedisFacts:
    uptime_s = _number(info.get("uptime_in_seconds"))
    is_valkey = "valkey_version" in info
    return RedisFacts(
        server="valkey" if is_valkey else "redis",
        version=info.get("valkey_version" if is_valkey else "redis_version", ""),
        mode=info.get("server_mode") or info.get("redis_mode", ""),
        role=info.get("role", ""),
        process_id=_number(info.get("process_id")),
        maxmemory_bytes=_number(info.get("maxmemory")),
        maxmemory_policy=info.get("maxmemory_policy", ""),
        is_aof_on=None if "aof_enabled" not in info else info["aof_enabled"] == "1",
        uptime_s=None if uptime_s is None else float(uptime_s),
        answer_ns=answer_ns,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
