"""Which exporters a session has: those asked for on the command line or set in the environment.

Nothing heavy is imported for one that is not wanted.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bench.core.errors import UsageError
from bench.exporters.collector import otel_collector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.exporters.collector import Collector
    from bench.run.observers import RunObserver

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


def open_exporters(
    asked: Asked, tell: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> list[RunObserver]:
    """The exporters, at work; each is to be closed. `tell` is given what a user should know.

    Raises UsageError for one that was asked for and cannot be had. One that only the environment names
    is told of and left out.
    """
    with contextlib.ExitStack() as undo:
        found: list[RunObserver] = []
        if asked.prometheus_port is not None:
            _demand("prometheus_client", "--prometheus", "prometheus")
            from bench.exporters.prometheus import PrometheusExporter

            prometheus = PrometheusExporter(asked.prometheus_port, asked.prometheus_host, environment)
            undo.callback(prometheus.close)
            tell(f"metrics of the run in progress: {prometheus.address}")
            found.append(prometheus)
        if collectors := _collectors(asked, tell, environment):
            from bench.exporters.otel import OtelExporter

            otel = OtelExporter(collectors, tell, environment)
            undo.callback(otel.close)
            found.append(otel)
        undo.pop_all()
        return found


def _collectors(asked: Asked, tell: Callable[[str], None], environment: Mapping[str, str]) -> list[Collector]:
    """Where metrics and traces are sent by OTLP."""
    found: list[Collector] = []
    if asked.otel_endpoint is not None:
        _demand(OTLP_PACKAGE, "--otel", "otel")
    try:
        otel = otel_collector(asked.otel_endpoint, environment)
        if otel is not None and _is_there(OTLP_PACKAGE, otel.because, "otel", tell):
            found.append(otel)
    except UsageError as error:
        if asked.otel_endpoint is not None:
            raise
        tell(f"{error}; nothing is sent there")
    is_wanted = environment.get("LOGFIRE_SEND_TO_LOGFIRE", "").lower() not in NO
    has_token = bool(environment.get("LOGFIRE_TOKEN", "").strip(", "))
    if has_token and is_wanted and _is_there("logfire", "LOGFIRE_TOKEN is set", "logfire", tell):
        from bench.exporters.logfire import logfire_collector

        found.append(logfire_collector(environment))
    return found


def _demand(package: str, option: str, extra: str) -> None:
    if not _is_installed(package):
        raise UsageError(
            f"{option}: expected the extra '{extra}', found no package {package}; "
            f"pip install 'holdfast[{extra}]'"
        )


def _is_there(package: str, because: str, extra: str, tell: Callable[[str], None]) -> bool:
    if _is_installed(package):
        return True
    tell(f"{because}, but there is no package {package}: nothing is sent; pip install 'holdfast[{extra}]'")
    return False


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
