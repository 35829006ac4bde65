"""Our families in the form of `prometheus-client`, which writes them as text. Imports that package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bench.core.clock import NS_PER_S
from bench.exporters.buckets import BOUNDS_NS, Distribution
from bench.exporters.families import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.exporters.families import Family
    from bench.exporters.figures import Figures

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
