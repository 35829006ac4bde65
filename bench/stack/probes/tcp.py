"""Ask a port whether somebody listens there and keeps a connection."""

from dataclasses import dataclass

from bench.core.clock import monotonic_ns
from bench.stack.probes.connection import Connection, ProbeError
from bench.stack.probes.error import probe_error
from bench.stack.target import State, Target

LISTEN_S = 0.05
"""A forwarder in front of a dead server accepts, and closes as soon as it learns of it."""


@dataclass(frozen=True)
class TcpFacts:
    """A port that accepts connections."""

    answer_ns: int
    """How long connecting took."""
    server: str = ""
    version: str = ""
    uptime_s: float | None = None

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        return "up", "accepts connections"


def probe_tcp(target: Target, deadline_s: float = 5.0) -> TcpFacts:
    """Connect, and see that the connection is kept. Raises TargetError within `deadline_s`."""
    begin = monotonic_ns()
    try:
        with Connection(target.host, target.port, deadline_s) as server:
            answer_ns = monotonic_ns() - begin
            if server.is_readable(min(LISTEN_S, deadline_s)):
                server.receive_more("the connection")
    except ProbeError as fact:
        raise probe_error(target, "a server that keeps a connection", str(fact)) from None
    return TcpFacts(answer_ns)
