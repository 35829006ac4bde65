"""Ask a target who it is: the answer is a Redis's, or a TargetError that says what is there."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.clock import monotonic_ns
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.error import advice_for, probe_error, told
from bench.stack.probes.resp import ErrorReply, RespClient
from bench.stack.target import State, Target


@dataclass(frozen=True)
class RedisFacts:
    """What a Redis says about itself. Empty or None: it did not say, or would not tell this user."""

    server: str
    """redis or valkey."""
    version: str
    mode: str
    """standalone, cluster or sentinel."""
    role: str
    """master or slave: the server's words."""
    process_id: int | None
    maxmemory_bytes: int | None
    """0 is no limit."""
    maxmemory_policy: str
    is_aof_on: bool | None
    uptime_s: float | None = None
    answer_ns: int = 0
    """From PING to its answer on the open connection."""

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        return "up", " ".join(filter(None, (self.mode, self.role))) or "it may not be asked for INFO"


def probe_redis(target: Target, deadline_s: float = 5.0) -> RedisFacts:
    """Log in as the load will, and read INFO. Raises TargetError within `deadline_s`.

    PING goes first, so a password is only ever sent to what answers as a Redis.
    """
    try:
        with RespClient(target.host, target.port, deadline_s) as server:
            begin = monotonic_ns()
            _expect_redis(target, server)
            answer_ns = monotonic_ns() - begin
            _log_in(target, server)
            _select(target, server)
            return _facts(_ask_info(server), answer_ns)
    except ProbeError as fact:
        raise probe_error(target, "a Redis server", told(target, fact)) from None


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
            advice = "end connections that nobody uses, or raise maxclients"
            raise probe_error(target, "a free connection", f"the answer '{reply}'", advice) from None
        if str(reply).startswith("LOADING"):
            raise probe_error(target, "+PONG", str(reply), "wait until it has loaded its data") from None
        raise probe_error(target, "+PONG", f"the answer '{reply}'", advice_for(target)) from None
    if answer != "PONG":
        raise probe_error(target, "+PONG", f"the answer '{answer}'", advice_for(target))


def _log_in(target: Target, server: RespClient) -> None:
    if target.password is None:
        return
    words = [target.password] if target.username is None else [target.username, target.password]
    try:
        server.ask("AUTH", *words)
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
