"""Who runs when, and what several rounds say together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.verdict import Status
from tests.benchmarks.peers.contestant import Result
from tests.benchmarks.peers.rounds import Round, order_of, ratios, summary_of
from tests.benchmarks.peers.verdict import AtLeastTimes, CountedEqually, NoHiddenTime, findings_of, status_of

CONNECTIONS = 50


def result(throughput_per_s: float, mean_ms: float = 1.0) -> Result:
    return Result(round(throughput_per_s * 2), 2.0, mean_ms * 1e6, mean_ms * 0.9e6, mean_ms * 3e6, 2.0)


def rounds_of(*pairs: tuple[float | None, float | None]) -> list[Round]:
    found = []
    for number, (ours, theirs) in enumerate(pairs):
        both = {"ours": ours, "other": theirs}
        results = {name: result(value) for name, value in both.items() if value is not None}
        found.append(Round(number + 1, tuple(both), results))
    return found


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.integers(0, 99), st.integers())
def test_in_as_many_rounds_as_contestants_each_stands_in_each_place_once(
    names: list[str], first: int, seed: int
) -> None:
    orders = [order_of(names, first + number, seed) for number in range(len(names))]
    for place in range(len(names)):
        assert sorted(order[place] for order in orders) == sorted(names)


def test_the_order_follows_from_the_seed_and_not_from_how_the_names_were_listed() -> None:
    assert order_of(["a", "b", "c", "d"], 3, 7) == order_of(["d", "c", "b", "a"], 3, 7)
    assert len({order_of(["a", "b", "c", "d"], 0, seed) for seed in range(20)}) > 1


def test_a_ratio_is_taken_within_its_round_and_not_between_medians() -> None:
    # The machine is ten times slower in the second round, for both.
    rounds = rounds_of((200_000, 100_000), (20_000, 10_000), (210_000, 70_000))
    assert ratios(rounds, "other") == [2.0, 2.0, 3.0]
    summary = summary_of(rounds, "other", CONNECTIONS)
    assert summary is not None
    assert summary.ratio == 2.0
    assert summary.throughput_per_s == 70_000
    assert (summary.lowest_per_s, summary.highest_per_s) == (10_000, 100_000)


def test_a_round_without_one_of_the_two_gives_no_ratio() -> None:
    rounds = rounds_of((200_000, None), (None, 100_000))
    assert ratios(rounds, "other") == []
    summary = summary_of(rounds, "other", CONNECTIONS)
    assert summary is not None
    assert summary.ratio is None
    assert summary_of(rounds, "nobody", CONNECTIONS) is None


def test_littles_law_gives_one_when_every_connection_is_always_waiting() -> None:
    assert result(50_000, mean_ms=1.0).little(CONNECTIONS) == pytest.approx(1.0)
    assert result(50_000, mean_ms=0.5).little(CONNECTIONS) == pytest.approx(0.5)


def test_the_farthest_round_of_littles_law_is_kept_beside_the_median() -> None:
    rounds = [
        Round(number, ("ours",), {"ours": result(50_000, mean)}) for number, mean in enumerate([1, 0.9, 1.02])
    ]
    summary = summary_of(rounds, "ours", CONNECTIONS)
    assert summary is not None
    assert summary.little == pytest.approx(1.0)
    assert summary.little_farthest == pytest.approx(0.9)


@pytest.mark.parametrize(("theirs", "status"), [(100_000, Status.PASS), (140_000, Status.FAIL)])
def test_the_median_ratio_decides(theirs: float, status: Status) -> None:
    rounds = rounds_of((150_000, theirs), (150_000, theirs), (150_000, 1_000))
    summary = summary_of(rounds, "other", CONNECTIONS)
    assert summary is not None
    assert AtLeastTimes("other", 1.5).judge({"other": summary}).status is status


def test_one_round_with_hidden_time_fails() -> None:
    rounds = [Round(n, ("ours",), {"ours": result(50_000, mean)}) for n, mean in enumerate([1, 1, 0.96])]
    summary = summary_of(rounds, "ours", CONNECTIONS)
    assert summary is not None
    finding = NoHiddenTime(0.03).judge({"ours": summary})
    assert finding.status is Status.FAIL
    assert "0.9600" in finding.because


def counted_rounds(*pairs: tuple[int, int | None]) -> list[Round]:
    found = [replace(result(1000), requests=ours, counted=theirs) for ours, theirs in pairs]
    return [Round(number, ("ours",), {"ours": one}) for number, one in enumerate(found, start=1)]


@pytest.mark.parametrize(
    ("pairs", "status", "because"),
    [
        ([(70, 70), (80, 80)], Status.PASS, "150 and 150"),
        ([(70, 71), (80, 79)], Status.FAIL, "150 and 150, apart by 2 over the rounds"),
        ([(70, 70), (80, None)], Status.INCONCLUSIVE, "the server's count is not known"),
    ],
)
def test_counts_agree_only_if_they_do_in_every_round(
    pairs: list[tuple[int, int | None]], status: Status, because: str
) -> None:
    summary = summary_of(counted_rounds(*pairs), "ours", CONNECTIONS)
    assert summary is not None
    finding = CountedEqually("ours").judge({"ours": summary})
    assert (finding.status, finding.because) == (status, because)


def test_a_latency_that_was_not_measured_proves_nothing() -> None:
    derived = replace(result(50_000), p50_ns=None, p99_ns=None, is_mean_measured=False)
    summary = summary_of([Round(1, ("ours",), {"ours": derived})], "ours", CONNECTIONS)
    assert summary is not None
    assert (summary.little, summary.p99_ns) == (None, None)
    assert NoHiddenTime(0.03).judge({"ours": summary}).status is Status.INCONCLUSIVE


def test_without_rounds_nothing_passes() -> None:
    findings = findings_of([AtLeastTimes("other", 1.5), NoHiddenTime(0.03), CountedEqually("ours")], {}, {})
    assert [finding.status for finding in findings] == [Status.INCONCLUSIVE] * 3


def test_a_missing_contestant_makes_it_inconclusive_but_hides_no_failure() -> None:
    rounds = rounds_of((150_000, 100_000))
    summaries = {name: summary_of(rounds, name, 150) for name in ("ours", "other")}
    known = {name: summary for name, summary in summaries.items() if summary is not None}
    absent = {"third": "not installed: get it"}
    met = findings_of([AtLeastTimes("other", 1.5)], known, absent)
    broken = findings_of([AtLeastTimes("other", 2.0)], known, absent)
    assert status_of(met) is Status.INCONCLUSIVE
    assert status_of(broken) is Status.FAIL
    assert met[-1].because == "not installed: get it"
