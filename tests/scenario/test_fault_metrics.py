"""Rules about faults: only where there are any, with their own names, statistics and arguments."""

import pytest

from bench.scenario.rules.grammar import RuleError, parse_rule
from bench.scenario.rules.lint import hints_of
from bench.scenario.rules.metric_facts import kills_needed
from bench.scenario.rules.metrics import Outline, check_rule, listed, metrics_of_outlines

CACHE = Outline("cache", "wire", ("get",), "redis")
WITH = metrics_of_outlines([CACHE], with_faults=True)


@pytest.mark.parametrize(
    "text",
    [
        "recovery.stable < 10s warn 8s",
        "recovery.first < 1s",
        "recovery.full.p50 < 10s",
        "cache.recovery.stable < 10s",
        "cache.recovery.stable.p95 <= 10s",
        "cache.recovery.full.max < 10s",
        "detection.client_errors < 6s",
        "detection.container_health.mean < 6s",
        "detection.probe.p50 < 6s",
        "detection.engine_event < 6s",
        "detection.breaker < 6s",
        "downtime < 5s",
        "cache.downtime.p50 < 5s",
        "lost_writes == 0",
        "cache.lost_writes == 0",
        "unexpected_values == 0",
        "false_alarms == 0",
        "breaker_open_time < 20s",
        "availability(window=30d, incidents=1) >= 99.9%",
        "cache.availability(incidents=2, window=30d) >= 99.9%",
        "availability(window=5s) >= 99.9%",
    ],
)
def test_a_scenario_with_faults_has_rules_about_them_and_one_without_has_not(text: str) -> None:
    check_rule(parse_rule(text), WITH)
    if "window=5s" not in text:
        with pytest.raises(RuleError):
            check_rule(parse_rule(text), metrics_of_outlines([CACHE]))


def test_a_metric_with_two_names_is_one_metric() -> None:
    metric = parse_rule("cache.recovery.stable.p95 < 10s").metric
    assert (metric.scope, metric.name, metric.stat) == (("cache",), "recovery.stable", "p95")
    assert (metric.key, str(metric)) == ("cache.recovery.stable.pNN", "cache.recovery.stable.p95")
    assert metric.workload == "cache"
    assert parse_rule("detection.probe < 1s").metric.scope == ()


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("recovery < 10s", "write recovery.stable if that was meant"),
        ("detection < 6s", "write detection.probe if that was meant"),
        ("recovery.stabel < 10s", "write recovery.stable if that was meant"),
        ("cache.recovery.frist.max < 10s", "write cache.recovery.first.max if that was meant"),
        ("detection.prob < 6s", "write detection.probe if that was meant"),
        ("lost_write == 0", "write lost_writes if that was meant"),
    ],
)
def test_a_slip_of_the_pen_is_corrected(text: str, advice: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_rule(parse_rule(text), WITH)
    assert refused.value.advice == advice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cache.get.recovery.stable < 1s", "a metric of this scenario"),
        ("cache.detection.probe < 1s", "a metric of this scenario"),
        ("lost_writes.max == 0", "a metric of this scenario"),
        ("recovery.stable < 10", "a duration such as 10ms"),
        ("lost_writes < 1%", "a plain count such as 0"),
        ("recovery.stable(window=1s) < 1s", "no arguments"),
        ("availability(incidents=1) >= 99%", "availability with its window declared"),
        ("availability(window=30d, incidents=0) >= 99%", "a whole number of incidents"),
        ("availability(window=30d, incidents=1.5) >= 99%", "a whole number of incidents"),
        ("cache.get.availability(window=30d, incidents=1) >= 99%", "only window"),
    ],
)
def test_a_rule_about_something_else_is_refused(text: str, expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_rule(parse_rule(text), WITH)
    assert refused.value.expected.startswith(expected)


@pytest.mark.parametrize(
    "text", ["availability(window=5) > 9%", "availability(window=1d, incidents=1d) > 9%"]
)
def test_an_argument_needs_its_unit(text: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(text)
    assert refused.value.expected.startswith(("a duration", "a count"))


def test_the_list_names_each_metric_of_faults_once() -> None:
    text = listed(WITH)
    assert text.count("recovery.stable") == 1
    assert "recovery.stable[.pNN|mean|max]" in text
    assert "false_alarms" in text


@pytest.mark.parametrize(("percent", "needed"), [(50, 5), (90, 29), (95, 59), (99, 299)])
def test_a_percentile_over_kills_needs_so_many_of_them(percent: float, needed: int) -> None:
    assert kills_needed(percent) == needed


def test_a_percentile_over_too_few_faults_is_pointed_out(load, good) -> None:
    text = good.replace("sla:", "faults:\n  - {kill: redis, at: 5s, repeat: 3, every: 5s}\nsla:")
    loaded = load(text + "  - recovery.stable.p95 < 10s\n")
    assert "p95 of recovery.stable needs 59 faults, and the plan has 3" in "\n".join(
        hints_of(loaded.scenario, loaded.rules)
    )
    fine = load(text + "  - recovery.stable < 10s\n  - availability(window=30d, incidents=1) >= 99%\n")
    assert hints_of(fine.scenario, fine.rules) == []
