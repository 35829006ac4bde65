"""Which metrics a scenario has, and what is said about rules on others."""

import pytest

from bench.scenario.rules.grammar import RuleError, parse_rule
from bench.scenario.rules.metrics import Outline, check_rule, listed, metrics_of_outlines

WEB = Outline("web", "wire", operations=("home",), driver="http")
STORE = Outline("store", "wire", operations=("get",), driver="redis")
BASE = Outline("base", "client", operations=("ask",), driver="postgres")
CACHE = Outline("cache", "wire", operations=("get", "set"))
APP = Outline("app", "client", operations=("get",))
NEWS = Outline("news", "wire", operations=("publish", "deliver"), driver="redis_pubsub")


@pytest.mark.parametrize(
    "text",
    [
        "response.p95 < 10ms",
        "cache.response.p99.9 < 10ms",
        "cache.get.service.mean < 10ms",
        "lag.max < 10ms",
        "cache.throughput >= 10/s",
        "cache.dropped == 0",
        "availability(window=30s) >= 99.9%",
        "app.pool_wait.p50 < 1ms",
        "app.pool_utilization < 100% warn 80%",
        "app.leaked_connections == 0",
        "news.end_to_end.p95 < 10ms",
        "news.publish.response.p95 < 10ms",
        "news.lost_messages == 0",
    ],
)
def test_a_metric_that_the_scenario_can_produce_is_known(text: str) -> None:
    check_rule(parse_rule(text), metrics_of_outlines([CACHE, APP, NEWS]))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("cache.respones.p95 < 10ms", "write cache.response.p95 if that was meant"),
        ("chache.gett.response.p99 < 10ms", "write cache.get.response.p99 if that was meant"),
        ("cache.response < 10ms", "write cache.response.p95 if that was meant"),
        ("cache.throughput.p95 > 1/s", "write cache.throughput if that was meant"),
        ("zzz < 1", "use one of those"),
        ("cache.pool_wait.p95 < 1ms", "use one of those"),
        ("cache.lost_messages == 0", "use one of those"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_list_and_the_nearest_one(text: str, advice: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_rule(parse_rule(text), metrics_of_outlines([CACHE]))
    assert "response.pNN|mean|max" in refused.value.expected
    assert "cache.get" in refused.value.expected
    assert refused.value.advice == advice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cache.response.p95 < 10/s", "a duration such as 10ms"),
        ("cache.response.p95 < 10", "a duration such as 10ms"),
        ("cache.errors < 1", "a percentage such as 1%"),
        ("cache.dropped < 1%", "a plain count such as 0"),
        ("cache.errors < 101%", "a percentage of at most 100%"),
        ("cache.response.p95 < 0ms", "a limit that can be met"),
        ("cache.availability > 100%", "availability with its window declared"),
        ("cache.availability(window=0s) > 10%", "a window above 0s"),
        ("cache.errors(window=1s) < 10%", "no arguments"),
        ("cache.availability(window=1s, incidents=2) > 10%", "only window"),
    ],
)
def test_a_rule_that_does_not_suit_its_metric_is_refused(text: str, expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_rule(parse_rule(text), metrics_of_outlines([CACHE]))
    assert refused.value.expected.startswith(expected)


def test_metrics_of_deliveries_belong_to_the_workload_not_to_an_operation() -> None:
    metrics = metrics_of_outlines([NEWS])
    assert "news.end_to_end.pNN" in metrics
    assert "news.publish.throughput" in metrics
    assert not any(name.startswith("news.deliver") for name in metrics)


def test_the_list_of_metrics_names_every_metric_once() -> None:
    text = listed(metrics_of_outlines([CACHE, APP]))
    for name in ("response.pNN", "throughput", "pool_utilization", "leaked_connections"):
        assert text.count(f" {name}") + text.startswith(name) == 1


@pytest.mark.parametrize(
    "text",
    [
        "web.status.5xx < 1%",
        "web.home.status.2xx >= 99%",
        "status.3xx == 0%",
        "store.misses < 5% warn 1%",
        "store.get.hits > 90%",
        "base.ask.empty < 10%",
    ],
)
def test_what_answers_brought_is_a_metric_of_the_drivers_that_count_it(text: str) -> None:
    check_rule(parse_rule(text), metrics_of_outlines([WEB, STORE, BASE]))


@pytest.mark.parametrize(
    "text",
    ["store.status.5xx < 1%", "web.misses < 1%", "base.hits > 1%", "web.status.6xx < 1%", "web.5xx < 1%"],
)
def test_other_workloads_do_not_have_them(text: str) -> None:
    with pytest.raises(RuleError):
        check_rule(parse_rule(text), metrics_of_outlines([WEB, STORE, BASE]))
