"""Our families in the form of `prometheus-client`, which writes them as text. Imports that package.

`bench run --prometheus PORT`: the run in progress for a Prometheus to scrape.

One thread answers one request at a time and folds the inbox in between, so neither many nor slow
scrapers can make the harness bigger or hold up the run.
"""

import base64
import hmac
import io
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import UsageError
from bench.exporters.families import Family, families
from bench.exporters.figures import BOUNDS_NS, CoalescingBuffer, Distribution, Figures
from bench.stack.target import address_of, is_loopback_literal, names_loopback

EDGES = (*(repr(bound / NS_PER_S) for bound in BOUNDS_NS), "+Inf")


class PrometheusFamilies(Collector):
    """Asks for the figures at every scrape."""

    def __init__(self, look: Callable[[], Figures]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        """Everything that is known now."""
        return (_metric(family) for family in families(self._look()))

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the run."""
        return ()


def exposition(collector: PrometheusFamilies, accepted: str) -> tuple[bytes, str]:
    """The page in the best form that the scraper accepts, and its content type."""
    registry = CollectorRegistry()
    registry.register(collector)
    encoder, kind = choose_encoder(accepted)
    return encoder(registry), kind


def _metric(family: Family) -> Metric:
    names = tuple(dict.fromkeys(name for labels, _ in family.samples for name in labels))
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=names)
        for labels, value in family.samples:
            assert isinstance(value, Distribution)
            histogram.add_metric(_values(names, labels), list(_buckets(value)), value.sum_ns / NS_PER_S)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=names)
    for labels, value in family.samples:
        assert not isinstance(value, Distribution)
        metric.add_metric(_values(names, labels), value)
    return metric


def _values(names: tuple[str, ...], labels: dict[str, str]) -> list[str]:
    return [labels.get(name, "") for name in names]


def _buckets(distribution: Distribution) -> Iterator[tuple[str, float]]:
    """Edge and how many samples are at or below it: Prometheus' buckets are cumulative."""
    total = 0
    for edge, count in zip(EDGES, distribution.counts.tolist(), strict=True):
        total += count
        yield edge, total


TURN_S = 0.25
"""How often the inbox is folded when nothing asks."""

SCRAPER_PATIENCE_S = 2.0
"""How long a scraper may take for its request, and then for the answer: others wait behind it."""

END_S = 1.0
USERNAME, PASSWORD = "HOLDFAST_PROMETHEUS_USERNAME", "HOLDFAST_PROMETHEUS_PASSWORD"


class PrometheusExporter(CoalescingBuffer):
    """Listens from its making on; `close` ends that."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", environment: Mapping[str, str] = os.environ
    ) -> None:
        """Raises UsageError for a port that is taken, and beyond loopback without credentials."""
        super().__init__()
        self._figures = Figures()
        self._closing = threading.Event()
        self._families = PrometheusFamilies(self._look)
        is_ours_alone = host == "localhost" or is_loopback_literal(host)
        credentials = None if is_ours_alone else _credentials(host, environment)
        self._server = _listening(host, port, self._families, credentials)
        self._thread = threading.Thread(target=self._serve, name="prometheus", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where to scrape."""
        host, port = self._server.server_address[:2]
        return f"http://{address_of(str(host), port)}/metrics"

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._closing.set()
        self._thread.join(END_S)
        self._server.server_close()

    def _look(self) -> Figures:
        """Everything up to now; in the serving thread only."""
        self._figures.take(self.take())
        return self._figures

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._server.handle_request()  # waits for one no longer than TURN_S
            self._look()


class _Server(socketserver.TCPServer):
    """HTTPServer without its look-up of the host's name, which may wait for a name server."""

    allow_reuse_address = True
    timeout = TURN_S
    request_queue_size = 16

    def __init__(
        self, address: tuple[str, int], families: PrometheusFamilies, credentials: bytes | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.families = families
        self.credentials = credentials
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnected."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SCRAPER_PATIENCE_S

    def setup(self) -> None:
        """Read with one limit for the whole request: a timeout of the socket starts anew with every byte."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_InTime(self.connection, SCRAPER_PATIENCE_S))

    def do_GET(self) -> None:
        """Answer /metrics."""
        if not self._is_meant():
            content = b"host: expected 127.0.0.1, localhost or [::1], found another name\n"
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", content)
        elif not self._is_allowed():
            self._answer(
                HTTPStatus.UNAUTHORIZED,
                "text/plain",
                b"credentials wanted\n",
                {"WWW-Authenticate": 'Basic realm="holdfast"'},
            )
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"the metrics are at /metrics\n")
        else:
            content, kind = exposition(self.server.families, self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, kind, content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: standard error belongs to the run."""

    def _is_meant(self) -> bool:
        """A page whose own name leads to 127.0.0.1 (DNS rebinding) still sends that name.

        One who sends credentials may call us what it likes, and a program that sends no name is no page.
        """
        if self.server.credentials is not None or "Host" not in self.headers:
            return True
        return names_loopback(self.headers["Host"])

    def _is_allowed(self) -> bool:
        wanted = self.server.credentials
        if wanted is None:
            return True
        given = self.headers.get("Authorization", "").encode("utf-8", "replace")
        return hmac.compare_digest(given, wanted)

    def _answer(
        self, status: HTTPStatus, kind: str, content: bytes, more: Mapping[str, str] | None = None
    ) -> None:
        self.connection.settimeout(SCRAPER_PATIENCE_S)
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            **(more or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class _InTime(io.RawIOBase):
    """What comes from a socket until a moment; TimeoutError after it."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._until_ns = monotonic_ns() + round(seconds * NS_PER_S)

    def readable(self) -> bool:
        """Yes: a BufferedReader asks."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what is there; wait for it no longer than is left."""
        left_ns = self._until_ns - monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError
        self._connection.settimeout(left_ns / NS_PER_S)
        return self._connection.recv_into(buffer)


def _listening(host: str, port: int, families: PrometheusFamilies, credentials: bytes | None) -> _Server:
    try:
        return _Server((host, port), families, credentials)
    except OSError as error:
        raise UsageError(
            f"--prometheus {port}: expected a port that is free on {host}, "
            f"found '{error.strerror or error}'; name another port, or 0 for any"
        ) from None


def _credentials(host: str, environment: Mapping[str, str]) -> bytes:
    """The header that a scraper from elsewhere must send."""
    username, password = environment.get(USERNAME), environment.get(PASSWORD)
    if not username or not password:
        raise UsageError(
            f"--prometheus-host {host}: expected credentials for what other machines can reach, found "
            f"none; set {USERNAME} and {PASSWORD}, or leave the host out"
        )
    pair = base64.b64encode(f"{username}:{password}".encode())
    return b"Basic " + pair
