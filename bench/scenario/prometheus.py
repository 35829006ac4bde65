"""The user's own Prometheus beside a run: queries that rules may be about, and alerts as detectors.

prometheus:
  url: "http://127.0.0.1:9090"
  metrics:
    backlog: sum(queue_length)
    gc: {query: max(jvm_gc_pause_seconds_max), unit: s}
  alerts:
    redis_down: RedisDown
sla:
  - promql.backlog.max < 100
  - detection.alert_redis_down < 6s
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bench.core.units import Mismatch, quoted
from bench.scenario.fields import Duration, Name, StrictModel, Text
from bench.scenario.problems import Violation

if TYPE_CHECKING:
    from bench.registry import Topology

EVERY_NS = 1_000_000_000
_URL = re.compile(r"https?://[^\s/]+(/\S*)?")


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        found = "another text (not shown: it may hold a password)"
        raise Mismatch('an address such as "http://127.0.0.1:9090"', found, "write http:// or https://")
    return text


def _query(value: Any) -> Any:
    return {"query": value} if isinstance(value, str) else value


def _alert(value: Any) -> Any:
    return {"alert": value} if isinstance(value, str) else value


class PromQuery(StrictModel):
    """A query of one value."""

    query: Text
    unit: Literal["count", "s", "bytes", "ratio", "per_s"] = Field(
        "count", description="Of its value: s are seconds, ratio is 0 to 1."
    )


class AlertEntry(StrictModel):
    """An alert that is to fire."""

    alert: Text = Field(description="Its name, as its rule has it: RedisDown.")
    about: Name | None = Field(None, description="The target that it is about, where the faults hit several.")


class PrometheusEntry(StrictModel):
    """What is asked of a Prometheus that runs already, during a run."""

    url: Annotated[Text, AfterValidator(_url)] = Field(description="Secrets as ${NAME}.")
    every_ns: Duration = Field(
        EVERY_NS,
        alias="every",
        description="How often each query is asked.",
        json_schema_extra={"default": "1s"},
    )
    metrics: dict[
        Name, Annotated[PromQuery, BeforeValidator(_query, json_schema_input_type=str | PromQuery)]
    ] = Field(default_factory=dict)
    alerts: dict[
        Name, Annotated[AlertEntry, BeforeValidator(_alert, json_schema_input_type=str | AlertEntry)]
    ] = Field(default_factory=dict)


def check_prometheus(
    entry: PrometheusEntry, hit: Sequence[str], topology: Topology | None
) -> Iterator[Violation]:
    """Alerts of which it is not known what they are about. hit: the targets of the faults."""
    for name, alert in entry.alerts.items():
        if alert.about is None and len(set(hit)) > 1:
            expected = f"the target that {name} is about, one of {', '.join(dict.fromkeys(hit))}"
            advice = f"write {{alert: {alert.alert}, about: {hit[0]}}}"
            yield Violation(("alerts", name), expected, "none", advice)
        elif alert.about is not None and topology is not None and alert.about not in topology:
            expected = f"one of the targets {', '.join(topology)}"
            yield Violation(("alerts", name, "about"), expected, quoted(alert.about), "name one of those")
