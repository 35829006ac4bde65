"""Logfire: a collector of OTLP whose address is in its token. Imports the package `logfire`.

Logfire's own SDK is not set up: it would flush at the end of the process for as long as its server
lets it wait.
"""

import warnings
from collections.abc import Mapping

import logfire

from bench.exporters.choice import Collector


def logfire_collector(environment: Mapping[str, str]) -> Collector:
    """The collector that LOGFIRE_TOKEN belongs to, or the one at LOGFIRE_BASE_URL."""
    token = environment["LOGFIRE_TOKEN"].partition(",")[0].strip()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unknown region, by its name
        options = logfire.AdvancedOptions(base_url=environment.get("LOGFIRE_BASE_URL") or None)
        base = options.generate_base_url(token).removesuffix("/")
    resource = {"deployment.environment.name": environment.get("LOGFIRE_ENVIRONMENT", "")}
    return Collector(
        name="logfire",
        because="LOGFIRE_TOKEN is set",
        metrics_url=f"{base}/v1/metrics",
        traces_url=f"{base}/v1/traces",
        service=environment.get("LOGFIRE_SERVICE_NAME") or "holdfast",
        headers={"Authorization": token},
        resource={name: value for name, value in resource.items() if value},
    )
