"""Ask a Neo4j whether it speaks Bolt, or over HTTP where its URL says so.

The Bolt handshake, as its specification has it: the client sends the magic number 60 60 B0 17 and
four versions that it could speak, each as 00, range, minor, major; the server answers with the one
that it chose, or with four zeros.
"""

from dataclasses import dataclass

from bench.core.clock import monotonic_ns
from bench.stack.probes.connection import Connection, ProbeError, probe_error, with_guess
from bench.stack.probes.health import Facts
from bench.stack.probes.http import http_get, word
from bench.stack.target import State, Target

HANDSHAKE = bytes.fromhex("6060b017 00080805 00020404 00000104 00000003")
"""5.8 down to 5.0, 4.4 down to 4.2, 4.1, 3."""
HIGHEST_MAJOR = 9
_EXPECTED = "a Neo4j server"


@dataclass(frozen=True, kw_only=True)
class Neo4jFacts(Facts):
    """A Neo4j that answered. Bolt reports no version of the server before a login."""

    bolt: str = ""
    """The version of Bolt that it chose, empty when it was asked over HTTP."""
    edition: str = ""
    server: str = "neo4j"

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        return "up", f"Bolt {self.bolt}" if self.bolt else f"{self.edition or 'unknown'} edition"


def probe_neo4j(target: Target, deadline_s: float = 5.0) -> Neo4jFacts:
    """Shake hands. Raises TargetError within `deadline_s`."""
    over_http = dict(target.options).get("via") == "http"
    try:
        return _discover(target, deadline_s) if over_http else _shake_hands(target, deadline_s)
    except ProbeError as fact:
        raise probe_error(target, _EXPECTED, with_guess(target, fact)) from None


def _shake_hands(target: Target, deadline_s: float) -> Neo4jFacts:
    question = "the Bolt handshake"
    begin = monotonic_ns()
    with Connection(target.host, target.port, deadline_s, tls=target.tls_context()) as server:
        server.send(HANDSHAKE, question)
        while len(server.buffer) < 4:
            server.receive_more(question)
        answer = bytes(server.buffer)
        answer_ns = monotonic_ns() - begin
        if answer == b"\0\0\0\0":
            found = "a server that speaks none of Bolt 3 to 5.8"
            raise probe_error(target, "a version of Bolt in common", found, "name a Neo4j from 3.5 on")
        _, _, minor, major = answer[:4]
        if len(answer) > 4 or answer[:2] != b"\0\0" or not 0 < major <= HIGHEST_MAJOR:
            raise server.something_else("a Neo4j", answer)
    return Neo4jFacts(bolt=f"{major}.{minor}", answer_ns=answer_ns)


def _discover(target: Target, deadline_s: float) -> Neo4jFacts:
    answer = http_get(target, "/", deadline_s)
    reply = answer.json()
    version = reply.get("neo4j_version")
    if not isinstance(version, str):
        found = f"the answer '{answer}' without neo4j_version"
        raise probe_error(target, f"{_EXPECTED}'s discovery for GET /", found)
    return Neo4jFacts(
        version=word(version),
        edition=word(reply.get("neo4j_edition")),
        answer_ns=answer.answer_ns,
    )
