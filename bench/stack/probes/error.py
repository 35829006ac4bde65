"""How a probe says what it found instead of the target."""

from contextlib import suppress

from bench.core.errors import TargetError
from bench.core.redaction import redacted
from bench.stack.probes.connection import ClosedAtOnce, Connection, ProbeError
from bench.stack.target import Target

QUOTE_LIMIT = 160
LOOK_AGAIN_S = 0.5
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def probe_error(target: Target, expected: str, found: str, advice: str | None = None) -> TargetError:
    """The error in one short line, without the password; some servers quote what they were sent."""
    found = redacted(found, [target.password])
    if len(found) > QUOTE_LIMIT:
        found = found[:QUOTE_LIMIT] + "..."
    return TargetError(
        target.name, target.address, expected, " ".join(found.split()), advice or advice_for(target)
    )


def advice_for(target: Target) -> str:
    """Where to look when nothing better is known."""
    if target.managed:
        return "look into its log"
    return "check the host and the port, and that the server is up"


def told(target: Target, fact: ProbeError) -> str:
    """The fact; where a server closed without a word, with a guess at what it is.

    A Postgres does so to whoever does not speak its protocol. One more connection asks it for TLS,
    which it answers with one letter; so does nobody else.
    """
    if isinstance(fact, ClosedAtOnce):
        with suppress(ProbeError), Connection(target.host, target.port, LOOK_AGAIN_S) as server:
            expect_postgres(server)
            return f"{fact}; a Postgres server, it seems"
    return str(fact)


def expect_postgres(server: Connection) -> None:
    """Ask whether there is TLS: the answer of a Postgres is S or N. Raises ProbeError."""
    question = "a request for TLS"
    server.send(_SSL_REQUEST, question)
    server.receive_more(question)
    if bytes(server.buffer) not in (b"S", b"N"):
        raise server.something_else("a Postgres", bytes(server.buffer))
