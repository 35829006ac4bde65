"""A collector of OTLP over HTTP: keeps what it is sent, or never answers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class OtlpReceiver:
    """Listens on loopback until closed. With `hangs` a request is answered only once `release` is set."""

    def __init__(self, *, hangs: bool = False, status: int = 200) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.asked, self.release = threading.Event(), threading.Event()
        if not hangs:
            self.release.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, headers, content))
                outer.asked.set()
                outer.release.wait(60)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def last_metrics(self) -> dict[str, Any]:
        """Metrics by name, of the last request."""
        content = [content for path, _, content in self.requests if path == "/v1/metrics"][-1]
        (resource,) = ExportMetricsServiceRequest.FromString(content).resource_metrics
        return {metric.name: metric for metric in resource.scope_metrics[0].metrics}

    def spans(self) -> list[Any]:
        """Every span, in the order of coming."""
        found = []
        for path, _, content in self.requests:
            if path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
                    found += [span for scope in resource.scope_spans for span in scope.spans]
        return found


def labels_of(point: Any) -> dict[str, Any]:
    """Attributes of a data point, a span or an event, as a dictionary."""
    found = {}
    for attribute in point.attributes:
        kind = attribute.value.WhichOneof("value")
        found[attribute.key] = getattr(attribute.value, kind)
    return found
