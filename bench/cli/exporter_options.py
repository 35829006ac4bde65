"""The options of a command whose runs can be looked at live: --prometheus and --otel."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def exporter_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command gets them as `asked` (bench.exporters.choice.Asked)."""

    @click.option(
        "--prometheus",
        "port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve the run in progress at http://127.0.0.1:PORT/metrics.",
    )
    @click.option(
        "--prometheus-host",
        "host",
        metavar="HOST",
        help="Serve it at this address instead; beyond loopback it requires credentials.",
    )
    @click.option(
        "--prometheus-stay",
        "stay_s",
        type=click.FloatRange(0, 3600),
        metavar="SECONDS",
        default=0.0,
        help="Keep serving this long after the last verdict, so that it can be scraped.",
    )
    @click.option(
        "--otel",
        "endpoint",
        metavar="URL",
        help="Send metrics and traces by OTLP over HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT, if set).",
    )
    @functools.wraps(command)
    def with_options(
        *arguments: object,
        port: int | None,
        host: str | None,
        stay_s: float,
        endpoint: str | None,
        **named: object,
    ) -> int:
        from bench.exporters.choice import Asked

        if port is None and (host is not None or stay_s):
            raise UsageError("--prometheus-host and --prometheus-stay go with --prometheus PORT; add it")
        asked = Asked(port, "127.0.0.1" if host is None else host, stay_s, endpoint)
        return command(*arguments, asked=asked, **named)

    return with_options
