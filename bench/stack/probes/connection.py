"""A TCP connection to a target, all that happens on it within one deadline; what its failures mean to a
user.
"""

import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Self

from bench.core.clock import monotonic_ns
from bench.core.errors import Passing, TargetError
from bench.core.sanitize import redacted
from bench.core.threads import StillRunning, within
from bench.stack.addresses import Place, places_of, places_written
from bench.stack.probes.health import Facts
from bench.stack.target import State, Target
from bench.stack.tls import failure_of

EXCERPT_BYTES = 60
REFUSED = "connection refused: nothing listens there"
_GUESSES = {
    b"HTTP/": "an HTTP server",
    b"\x15\x03": "a TLS server",
    b"SSH-": "an SSH server",
    b"-ERR ": "a Redis server",
    b"-NOAUTH ": "a Redis server",
    b"-DENIED ": "a Redis server",
    b"E\x00": "a Postgres server",
}


class ProbeError(Exception):
    """The other side did not answer as it should; the text says what it did instead.

    It completes "expected ..., found ...".
    """

    advice: str | None = None
    """What to do, where the failure itself says it."""
    passes: Passing | None = None
    """Whether to wait may help; see TargetError."""


class ClosedAtOnce(ProbeError):  # noqa: N818 - states a fact about the other side
    """The other side closed the connection before it had said anything."""

    passes = "absent"


class NoConnection(ProbeError):  # noqa: N818 - states a fact about the other side
    """The connection could not be opened, or the host has no address."""

    passes = "absent"


class Connection:
    """Bytes there and back. Every method raises ProbeError; `question` names what was asked."""

    def __init__(
        self,
        host: str,
        port: int,
        deadline_s: float,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.buffer = bytearray()
        """What has been received; who reads it takes it away."""
        self._sent = b""
        self._deadline_s = round(deadline_s, 3)  # as it is shown
        self._deadline = time.monotonic() + deadline_s
        self.place = Place(host, port, "", 0)
        """Where it leads: the address that answered, of those that the host has."""
        self._socket = self._connect(host, port)
        if tls is not None:
            self._socket = self._secured(self._socket, tls, host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS, which the other side has agreed to. Raises ProbeError."""
        self.buffer.clear()
        self._socket = self._secured(self._socket, context, host)

    def renew(self, deadline_s: float) -> None:
        """All that follows may take that long, as on a new connection."""
        self._deadline_s = round(deadline_s, 3)
        self._deadline = time.monotonic() + deadline_s

    def close(self) -> None:
        """Close it. Idempotent."""
        self._socket.close()

    def send(self, request: bytes, question: str) -> None:
        """Send all of it."""
        self._sent = request
        try:
            self._socket.settimeout(self.left_s(question))
            self._socket.sendall(request)
        except TimeoutError:
            raise self.silence(question) from None
        except OSError as error:
            raise self._broken(question, self._last_word(error)) from None

    def _last_word(self, error: OSError) -> OSError:
        """Why a server closed a connection over TLS, where it said so before what we were about to send."""
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.recv(1)
            except ssl.SSLError as said:
                return said
            except OSError:
                pass
        return error

    def _broken(self, question: str, error: OSError) -> ProbeError:
        found, advice = failure_of(error) or (
            f"a connection that broke on {question} ({reason(error)})",
            None,
        )
        fact = ProbeError(found)
        fact.advice = advice
        return fact

    def receive(self, question: str) -> bool:
        """Wait for more and put it into the buffer; False when the other side has closed."""
        try:
            self._socket.settimeout(self.left_s(question))
            received = self._socket.recv(64 * 1024)
        except TimeoutError:
            raise self.silence(question) from None
        except ConnectionResetError as error:
            # A server that closes without having read all of a question resets the connection.
            kind = ProbeError if self.buffer else ClosedAtOnce
            raise kind(f"a connection that broke on {question} ({reason(error)})") from None
        except OSError as error:
            raise self._broken(question, error) from None
        self.buffer += received
        return bool(received)

    def receive_more(self, question: str) -> None:
        """Wait for more, as `receive` does, where an end would be too early."""
        if not self.receive(question):
            if self.buffer:
                found = f"a server that closed the connection on {question} after {quoted(self.buffer)}"
                raise ProbeError(found)
            raise ClosedAtOnce(f"a server that closed the connection on {question} without a word")

    def is_readable(self, within_s: float) -> bool:
        """Whether something comes, an end too, within so many seconds."""
        return bool(select.select([self._socket], [], [], within_s)[0])

    def silence(self, question: str) -> ProbeError:
        """That the deadline has passed, with what was said until then."""
        begun = f", only {quoted(self.buffer)}" if self.buffer else ""
        return ProbeError(f"no complete answer to {question} within {self._deadline_s:g} s{begun}")

    def something_else(self, expected: str, received: bytes) -> ProbeError:
        """That the received bytes are not those of `expected`, with a guess at what talks there."""
        if received and self._sent.startswith(received[:16]):
            return ProbeError(f"a server that echoes what it is sent, saying {quoted(received)}")
        for beginning, guess in _GUESSES.items():
            if received.startswith(beginning):
                return ProbeError(f"{guess}, saying {quoted(received)}")
        return ProbeError(f"something that is not {expected}, saying {quoted(received)}")

    def left_s(self, question: str) -> float:
        """Seconds up to the deadline, more than none."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise self.silence(question)
        return left_s

    def _connect(self, host: str, port: int) -> socket.socket:
        places = resolve(host, port, self._deadline_s)
        problem = "no address"
        for index, place in enumerate(places):
            left_s = max(self._deadline - time.monotonic(), 0.001)
            connection = socket.socket(place.family, socket.SOCK_STREAM)
            connection.settimeout(left_s / (len(places) - index))
            try:
                connection.connect(place.destination)
                # A server that dies right now has accepted us and has no peer any more.
                peer = connection.getpeername()
            except TimeoutError:
                problem = f"no answer to the connection attempt within {self._deadline_s:g} s"
            except ConnectionRefusedError:
                problem = REFUSED
            except OSError as error:
                problem = f"no connection ({reason(error)})"
            else:
                if connection.getsockname() != peer:
                    self.place = place
                    return connection
                # Nothing listens there, and the kernel gave this very port to our end.
                problem = REFUSED
            connection.close()
        raise NoConnection(problem)

    def _secured(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
        try:
            plain.settimeout(self.left_s("the TLS handshake"))
            return context.wrap_socket(plain, server_hostname=host)
        except TimeoutError:
            found = self.silence("the TLS handshake")
        except (OSError, ValueError) as error:
            words, advice = failure_of(error) or (f"no TLS there ({reason(error)})", None)
            found = ProbeError(words)
            found.advice = advice
        plain.close()
        raise found


def resolve(host: str, port: int, deadline_s: float) -> list[Place]:
    """Where a host's name leads, or the socket file that it stands for. Raises ProbeError."""
    if found := places_written((host, port)):
        return found
    try:
        # The system's look-up knows no deadline, so it gets a thread that can be left behind.
        entries = within(
            deadline_s, "look-up", lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except StillRunning:
        raise NoConnection(f"no answer from the name service within {deadline_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise NoConnection(f"a host name that has no address ({reason(error)})") from None
    return places_of((host, port), entries)


def reason(error: Exception) -> str:
    """The system's words for it, or the kind of error."""
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def quoted(received: bytes | bytearray) -> str:
    """The beginning of it, printable."""
    text = repr(bytes(received[:EXCERPT_BYTES]))[1:]
    return text + " and more" if len(received) > EXCERPT_BYTES else text


QUOTE_LIMIT = 160
LOOK_AGAIN_S = 0.5
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def probe_error(
    target: Target,
    expected: str,
    found: str | ProbeError,
    advice: str | None = None,
    passes: Passing | None = None,
) -> TargetError:
    """The error in one short line, without the password; some servers quote what they were sent."""
    if isinstance(found, ProbeError):
        advice, passes = advice or found.advice, found.passes
    found = redacted(str(found), [target.password])
    if len(found) > QUOTE_LIMIT:
        found = found[:QUOTE_LIMIT] + "..."
    return target.error(expected, " ".join(found.split()), advice or advice_for(target), passes)


def advice_for(target: Target) -> str:
    """Where to look when nothing better is known."""
    if target.managed:
        return "check its log"
    return "check the host and the port, and that the server is up"


def with_guess(target: Target, fact: ProbeError) -> ProbeError:
    """The fact; where a server closed without a word, with a guess at what it is.

    A Postgres does so to a client that does not speak its protocol. One more connection asks it for TLS,
    which only a Postgres answers with one letter.
    """
    if isinstance(fact, ClosedAtOnce) and not target.tls:
        with suppress(ProbeError), Connection(target.host, target.port, LOOK_AGAIN_S) as server:
            expect_postgres(server)
            return ProbeError(f"{fact}; a Postgres server, it seems")
    return fact


def expect_postgres(server: Connection) -> None:
    """Ask whether there is TLS: the answer of a Postgres is S or N. Raises ProbeError."""
    question = "a request for TLS"
    server.send(SSL_REQUEST, question)
    server.receive_more(question)
    if bytes(server.buffer) not in (b"S", b"N"):
        raise server.something_else("a Postgres", bytes(server.buffer))


LISTEN_S = 0.05
"""A forwarder in front of a dead server accepts, and closes as soon as it learns of it."""


class TcpFacts(Facts):
    """A port that accepts connections; the time is that of connecting."""

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
    return TcpFacts(answer_ns=answer_ns)


def dialled(target: Target, timeout_s: float) -> socket.socket:
    """A blocking connection to the target, over TLS where it has it. Raises OSError, TargetError."""
    here = target.located(timeout_s)
    if here.socket_file is not None:
        return _at_file(here.socket_file, timeout_s)
    plain = socket.create_connection((here.host, here.port), timeout=timeout_s)
    try:
        context = here.tls_context()
        return plain if context is None else context.wrap_socket(plain, server_hostname=here.host)
    except BaseException:
        plain.close()
        raise


def _at_file(path: str, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def hang_up(connection: socket.socket) -> None:
    """End what waits on it in another thread. Idempotent."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
