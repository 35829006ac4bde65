"""The grammar of rules: what it reads, what it refuses, and that it never raises anything else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scenario.rules.grammar import Metric, Rule, RuleError, parse_rule


def test_a_rule_is_read_into_its_parts_and_keeps_its_text() -> None:
    rule = parse_rule("cache.get.response.p95 < 10ms warn 8ms")
    assert rule.text == "cache.get.response.p95 < 10ms warn 8ms"
    assert rule.metric == Metric(("cache", "get"), "response", "p95")
    assert (rule.op, rule.limit, rule.warn, rule.unit) == ("<", 10e6, 8e6, "ns")


def test_a_duration_makes_a_rule_sustained() -> None:
    rule = parse_rule("errors  < 5% warn 3% for 10s")
    assert (rule.limit, rule.warn, rule.sustained_ns) == (0.05, 0.03, 10_000_000_000)
    assert str(rule) == "errors < 5% warn 3% for 10s"
    assert rule.subject == "errors for 10s"
    assert parse_rule("errors < 5%").sustained_ns is None


@pytest.mark.parametrize(
    ("text", "limit", "unit"),
    [
        ("throughput >= 1000/s", 1000.0, "per_s"),
        ("cache.errors < 1%", 0.01, "ratio"),
        ("m.lost_messages == 0", 0.0, "count"),
        ("memory_growth<100MB", 1e8, "bytes"),
        ("lag.max<=1ms", 1e6, "ns"),
    ],
)
def test_the_unit_of_the_limit_is_its_base_unit(text: str, limit: float, unit: str) -> None:
    rule = parse_rule(text)
    assert (rule.limit, rule.unit) == (limit, unit)


def test_the_dot_of_a_percentile_belongs_to_the_number() -> None:
    metric = parse_rule("cache.response.p99.9 < 10ms").metric
    assert (metric.scope, metric.name, metric.stat, metric.percent) == (("cache",), "response", "p99.9", 99.9)
    assert metric.key == "cache.response.pNN"


def test_an_argument_is_read_in_its_base_unit() -> None:
    rule = parse_rule("cache.availability(window=30s) >= 99.9%")
    assert rule.metric.arguments == {"window": 30e9}
    assert rule.limit == 0.999


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a rule such as"),
        ("cache.response.p95", "a rule such as"),
        ("cache.response.p95 = 1ms", "one of the operators"),
        ("cache.response.p95 < ", "a limit such as"),
        ("cache.response.p95 < 10ms warn", "a warn level such as"),
        ("cache.response.p95 < 10ms warn 80ms", "a warn level below the limit"),
        ("throughput >= 10/s warn 5/s", "a warn level above the limit"),
        ("cache.response.p95 < 10ms warn 8/s", "limit and warn level of one kind"),
        ("lost_messages == 0 warn 1", "no warn level with =="),
        ("cache.response.p0 < 1ms", "a percentile above p0"),
        ("cache.response.p00.0 < 1ms", "a percentile above p0"),
        ("cache.response.p100 < 1ms", "a percentile above p0"),
        ("cache.response.p99.99999 < 1ms", "a percentile above p0"),
        ("Cache.response.p95 < 1ms", "a metric such as"),
        ("a.b.c.d.response.p95 < 1ms", "at most workload.operation.step"),
        ("response.p95 < 1ms < 2ms", "a limit: a quantity"),
        ("availability(window) >= 9%", "arguments such as"),
        ("availability(window=1s,window=2s) >= 9%", "arguments such as"),
        ("response.p95 < 10 parsecs", "a limit: a quantity"),
        ("response.p95 < -1ms", "a limit: a quantity"),
        ("errors < 5% for", "a duration above 0 after for"),
        ("errors < 5% for 0s", "a duration above 0 after for"),
        ("errors < 5% for 10", "a duration above 0 after for"),
        ("errors < 5% for 10% warn 3%", "the warn level before the duration"),
        ("lost_messages == 0 for 10s", "no duration with =="),
    ],
)
def test_what_is_no_rule_is_refused_with_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(text)
    assert refused.value.expected.startswith(expected)
    assert refused.value.advice


def test_a_rule_holds_at_the_limit_only_where_its_operator_says_so() -> None:
    assert not parse_rule("response.p95 < 10ms").holds(10e6)
    assert parse_rule("response.p95 <= 10ms").holds(10e6)
    assert not parse_rule("response.p95 < 10ms warn 8ms").holds(9e6, warn=True)
    assert parse_rule("lost_messages == 0").holds(0)


_PIECES = st.sampled_from(
    [
        *("cache", ".", "response", "p95", "p99.9", "p", "mean", "(", ")", ",", "window=30s"),
        *("<", "<=", "==", "=", "warn", "for", "10s", "10ms", "1/s", "1%", "0", "-", " ", "\n", "\x00", "é"),
    ]
)


def _rule_or_error(text: str) -> Rule | RuleError:
    try:
        return parse_rule(text)
    except RuleError as error:
        return error


@given(st.one_of(st.text(max_size=600), st.lists(_PIECES, max_size=15).map("".join)))
def test_arbitrary_text_is_a_rule_or_a_rule_error(text: str) -> None:
    read = _rule_or_error(text)
    if isinstance(read, Rule):
        assert read.text == text
        assert parse_rule(read.text) == read
        again = parse_rule(str(read))
        assert str(again) == str(read)
        assert replace(again, text=text, written=read.written) == read
    else:
        assert "\n" not in str(read)


_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_METRIC_NAMES = _NAMES.filter(lambda name: not name[1:].isdigit())  # "p0" at the end is a bad percentile


@given(
    st.lists(_NAMES, max_size=2),
    _METRIC_NAMES,
    st.sampled_from([None, "p50", "p99.99", "mean", "max"]),
    st.sampled_from(["<", "<=", ">", ">=", "=="]),
)
def test_a_written_metric_reads_back_as_itself(
    scope: list[str], name: str, stat: str | None, op: str
) -> None:
    metric = Metric(tuple(scope), name, stat)
    read = parse_rule(f"{metric} {op} 5ms").metric
    # A last name such as "max" is a statistic where a name stands before it: the text is the same.
    assert str(read) == str(metric)
