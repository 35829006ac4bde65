"""Which exporters a session has: those asked for on the command line or set in the environment.

Nothing heavy is imported for one that is not wanted: addresses of OTLP collectors are read here, and
OpenTelemetry is imported only where there is one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.core.errors import UsageError
from bench.core.plugins import Table

if TYPE_CHECKING:
    from bench.run.plugins import RunObserver


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SIGNAL_ENDPOINTS = {
    "metrics": "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "traces": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
}
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


@dataclass(frozen=True)
class Collector:
    """Where to send, what to send with it; a signal without an address is not sent."""

    name: str
    because: str
    metrics_url: str | None
    traces_url: str | None
    service: str
    headers: dict[str, str] | None = field(default=None, repr=False)
    """None: those that OTEL_EXPORTER_OTLP_HEADERS names."""
    resource: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Scheme, host and port alone: what else is in an address may be a secret."""
        return _shown(self.metrics_url or self.traces_url or "")


def otel_collector(asked: str | None, environment: Mapping[str, str]) -> Collector | None:
    """The collector that the command line or the environment names, if any.

    Raises UsageError for an invalid address, and for a protocol that we do not speak.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" and asked is None:
        return None
    base = environment.get(ENDPOINT, "").strip() if asked is None else asked
    urls = {}
    if base or asked is not None:
        root = _checked(base).removesuffix("/")
        urls = {signal: f"{root}/v1/{signal}" for signal in SIGNAL_ENDPOINTS}
    if asked is None:
        for signal, variable in SIGNAL_ENDPOINTS.items():
            if named := environment.get(variable, "").strip():
                urls[signal] = _checked(named, variable)
    if not urls:
        return None
    protocol = environment.get(PROTOCOL, "").strip() or "http/protobuf"
    if asked is None and protocol != "http/protobuf":
        raise UsageError(f"{PROTOCOL}: expected http/protobuf, found '{protocol}'; set that and its port")
    because = "--otel was given" if asked else f"{ENDPOINT} is set"
    service = environment.get("OTEL_SERVICE_NAME") or "holdfast"
    return Collector("otel", because, urls.get("metrics"), urls.get("traces"), service)


def _checked(url: str, variable: str = "--otel or OTEL_EXPORTER_OTLP_ENDPOINT") -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(
            f"{variable}: expected an address such as http://127.0.0.1:4318, found something else; "
            "write the scheme, the host and the port of the collector's OTLP over HTTP"
        )
    return url


def _shown(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


OTLP_PACKAGE = "opentelemetry.exporter.otlp.proto.http"
NO = ("false", "0", "no", "f", "n")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    prometheus_port: int | None = None
    prometheus_host: str = "127.0.0.1"
    stay_s: float = 0.0
    """How long to go on serving after the last verdict."""
    otel_endpoint: str | None = None


Notify = Callable[[str], None]
"""Is given what a user should know."""
Opener = Callable[[Asked, Notify, Mapping[str, str]], "RunObserver | None"]
"""The exporter at work, or None where neither the command line nor the environment asks for it.

Raises UsageError if the command line asks for it and it cannot be had. If only the environment names it, it
reports that and returns None.
"""


def open_exporters(
    asked: Asked, notify: Notify, environment: Mapping[str, str] = os.environ
) -> list[RunObserver]:
    """The exporters of the table that are asked for, at work; each is to be closed. Raises UsageError."""
    with contextlib.ExitStack() as undo:
        observers: list[RunObserver] = []
        for opener in EXPORTERS.values():
            observer = opener(asked, notify, environment)
            if observer is not None:
                undo.callback(observer.close)
                observers.append(observer)
        undo.pop_all()
        return observers


def _prometheus(asked: Asked, notify: Notify, environment: Mapping[str, str]) -> RunObserver | None:
    if asked.prometheus_port is None:
        return None
    _demand("prometheus_client", "--prometheus", "prometheus")
    from bench.exporters.prometheus import PrometheusExporter

    prometheus = PrometheusExporter(asked.prometheus_port, asked.prometheus_host, environment)
    notify(f"metrics of the run in progress: {prometheus.address}")
    return prometheus


def _otlp(asked: Asked, notify: Notify, environment: Mapping[str, str]) -> RunObserver | None:
    collectors = _collectors(asked, notify, environment)
    if not collectors:
        return None
    from bench.exporters.otel import OtelExporter

    return OtelExporter(collectors, notify, environment)


EXPORTERS: Table[Opener] = Table(
    "exporter", "holdfast.exporters", {"prometheus": _prometheus, "otlp": _otlp}, callable
)
"""Every exporter by its name. What is heavy is imported by an opener, once it is wanted."""


def _collectors(asked: Asked, notify: Notify, environment: Mapping[str, str]) -> list[Collector]:
    """Where metrics and traces are sent by OTLP."""
    found: list[Collector] = []
    if asked.otel_endpoint is not None:
        _demand(OTLP_PACKAGE, "--otel", "otel")
    try:
        otel = otel_collector(asked.otel_endpoint, environment)
        if otel is not None and _is_there(OTLP_PACKAGE, otel.because, "otel", notify):
            found.append(otel)
    except UsageError as error:
        if asked.otel_endpoint is not None:
            raise
        notify(f"{error}; nothing is sent there")
    is_wanted = environment.get("LOGFIRE_SEND_TO_LOGFIRE", "").lower() not in NO
    has_token = bool(environment.get("LOGFIRE_TOKEN", "").strip(", "))
    if has_token and is_wanted and _is_there("logfire", "LOGFIRE_TOKEN is set", "logfire", notify):
        from bench.exporters.logfire import logfire_collector

        found.append(logfire_collector(environment))
    return found


def _demand(package: str, option: str, extra: str) -> None:
    if not _is_installed(package):
        raise UsageError(
            f"{option}: expected the extra '{extra}', found no package {package}; "
            f"pip install 'holdfast[{extra}]'"
        )


def _is_there(package: str, because: str, extra: str, notify: Notify) -> bool:
    if _is_installed(package):
        return True
    notify(f"{because}, but there is no package {package}: nothing is sent; pip install 'holdfast[{extra}]'")
    return False


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
