"""A place that takes OTLP over HTTP, as the variables of the OpenTelemetry specification name it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    Raises UsageError for an address that is none, and for a protocol that we do not speak.
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
