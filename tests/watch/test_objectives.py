"""Objectives as shares of arrivals, their budgets and burn rates, by literal numbers."""

from __future__ import annotations

import pytest

from bench.core.errors import UsageError
from bench.core.units import NS
from bench.scenario.rules.grammar import parse_rule
from bench.watch.history import UNKNOWN, RowRecord, TallyRecord
from bench.watch.objectives import BROKEN, HOLDS, OPEN, Ledger, StandingRecord, objectives_of
from bench.watch.rollup import encoded
from tests.helpers.synthetic_run import MS, counts_of

MIN, H, D = NS["min"], NS["h"], NS["d"]


def minutes(
    count: int, planned: int = 1000, bad: int = 0, from_ns: int = 0, first: int = 1, **more: object
) -> list[RowRecord]:
    """Rows of a minute each."""
    return [
        RowRecord(
            first=first + at,
            last=first + at,
            from_ns=from_ns + at * MIN,
            until_ns=from_ns + (at + 1) * MIN,
            workloads={"cache": TallyRecord(planned=planned, ok=planned - bad)},
            watched_ns=MIN,
        ).model_copy(update=more)
        for at in range(count)
    ]


def standing(rows: list[RowRecord], text: str = "availability(window=30d) >= 99.9%") -> StandingRecord:
    (found,) = Ledger(objectives_of([text], (), ["cache"])).standings(
        rows, rows[0].from_ns if rows else None, rows[-1].until_ns if rows else 0
    )
    return found


def test_the_budget_is_what_the_objective_allows_of_the_arrivals_planned_in_the_window() -> None:
    found = standing([*minutes(59), *minutes(1, bad=30, from_ns=59 * MIN, first=60)])
    assert (found.planned, found.bad) == (60_000, 30)
    assert found.share == pytest.approx(0.9995)
    assert found.budget_left == pytest.approx(0.5)
    assert found.state == HOLDS


def test_an_objective_is_broken_when_more_was_bad_than_it_allows() -> None:
    found = standing(minutes(60, bad=2))
    assert found.budget_left == pytest.approx(-1)
    assert found.state == BROKEN


def test_what_lies_before_the_window_does_not_count() -> None:
    rows = [*minutes(60, bad=1000), *minutes(60, from_ns=60 * MIN, first=61)]
    assert standing(rows, "availability(window=1h) >= 99.9%").state == HOLDS
    assert standing(rows, "availability(window=2h) >= 99.9%").state == BROKEN


def test_few_arrivals_and_long_gaps_hold_nothing() -> None:
    assert standing([]).state == OPEN
    assert standing(minutes(2)).state == OPEN
    rows = [*minutes(30), *minutes(30, from_ns=2 * H, first=31)]
    found = standing(rows)
    assert found.state == OPEN
    assert found.watched == pytest.approx(60 / 150)


def test_a_segment_that_says_nothing_of_the_target_has_no_part_in_the_budget() -> None:
    rows = [*minutes(60), *minutes(1, bad=1000, from_ns=H, first=61, kind=UNKNOWN, watched_ns=0)]
    assert standing(rows).bad == 0


def test_an_alert_needs_both_windows_above_their_threshold() -> None:
    # 2 % bad of 0.1 % allowed burns 20 times as fast as it may.
    under_way = [*minutes(10), *minutes(60, bad=20, from_ns=10 * MIN, first=11)]
    fast, slow = standing(under_way).burns
    assert fast.long_rate == pytest.approx(20)
    assert fast.short_rate == pytest.approx(20)
    assert fast.is_alert
    over = [*under_way, *minutes(10, from_ns=70 * MIN, first=71)]
    fast, slow = standing(over).burns
    assert fast.long_rate == pytest.approx(20 * 50 / 60)
    assert fast.short_rate == 0
    assert not fast.is_alert
    assert slow.is_alert  # it went on within the last 30 min
    assert [(one.long_ns, one.short_ns, one.threshold) for one in (fast, slow)] == [
        (H, 5 * MIN, 14.4),
        (6 * H, 30 * MIN, 6.0),
    ]


def test_a_percentile_counts_the_arrivals_beyond_its_limit_and_those_that_have_no_time() -> None:
    times = encoded(counts_of((10 * MS, 980), (80 * MS, 15)))
    rows = minutes(1)
    tally = TallyRecord(planned=1000, ok=995, response=times)
    rows[0] = rows[0].model_copy(update={"workloads": {"cache": tally}})
    found = standing(rows, "cache.response.p99(window=7d) < 50ms")
    assert (found.bad, found.planned) == (20, 1000)
    assert found.allowed == pytest.approx(0.01)
    assert found.state == BROKEN
    assert standing(rows, "cache.response.p95(window=7d) < 50ms").state == HOLDS


def test_the_rules_of_a_scenario_become_objectives_of_thirty_days_unless_they_say_longer_than_an_hour() -> (
    None
):
    rules = [
        parse_rule(text)
        for text in (
            "availability(window=30s) >= 99.9%",
            "cache.availability(window=7d) >= 99%",
            "cache.response.p95 < 10ms warn 8ms",
            "cache.errors < 1%",
            "cache.throughput >= 1000/s",
            "memory_growth < 100MB",
            "errors < 5% for 10s",
        )
    ]
    assert [one.text for one in objectives_of([], rules, ["cache"])] == [
        "availability(window=30d) >= 99.9%",
        "cache.availability(window=7d) >= 99%",
        "cache.response.p95(window=30d) < 10ms",
        "cache.errors(window=30d) < 1%",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("availability >= ", "expected a limit"),
        ("availability(window=30d) >= 100%", "a least availability below 100 %"),
        ("cache.response.max < 50ms", "availability, errors, or a percentile of response"),
        ("shop.availability(window=30d) >= 99%", "one of the workloads cache"),
        ("cache.get.errors < 1%", "of a workload or of all of them"),
        ("errors < 1% for 10s", "a window instead of a duration"),
    ],
)
def test_what_is_no_objective_is_refused_with_what_one_looks_like(text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        objectives_of([text], (), ["cache"])


def test_a_scenario_without_a_rule_that_can_be_an_objective_says_how_to_name_one() -> None:
    with pytest.raises(UsageError, match="--objective"):
        objectives_of([], [parse_rule("cache.throughput >= 1000/s")], ["cache"])
