"""What became of acknowledged writes, on hand-written and on drawn ledgers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.outcome import OUTCOMES, Outcome
from chaos.integrity.ledger import Attempts, Blow, Found, Judgement, bound, judge, recovery_point

MS = 1_000_000
S = 1_000 * MS
NEVER_SENT = (Outcome.REFUSED, Outcome.DROPPED)


def attempts(*outcomes: Outcome) -> Attempts:
    """Arrival n is sent at n ms and done at n.5 ms."""
    count = len(outcomes)
    sent = np.arange(count, dtype=np.int64) * MS
    never = np.isin(outcomes, NEVER_SENT)
    return Attempts(
        np.arange(count, dtype=np.int64),
        np.where(never, -1, sent),
        sent + MS // 2,
        np.array(outcomes, np.int64),
    )


def found(*arrivals: int, changed: tuple[int, ...] = (), foreign: tuple[str, ...] = ()) -> Found:
    return Found(np.array(arrivals, np.int64), np.array(changed, np.int64), foreign)


def judged(count: int, there: Found, *blows: Blow) -> Judgement:
    return judge(attempts(*[Outcome.OK] * count), there, blows)


def test_what_was_acknowledged_and_is_there_is_not_lost() -> None:
    assert judged(3, found(0, 1, 2)).lost == 0
    assert judged(3, found(0, 1, 2)).bound == "0 of 3 lost: at most 1e+02 % with 95 % confidence"


def test_an_unknown_outcome_may_survive_or_not() -> None:
    unknown = attempts(Outcome.OK, Outcome.TIMEOUT, Outcome.RESET, Outcome.ERROR)
    result = judge(unknown, found(0, 1))
    assert (result.lost, result.unexpected, result.unknown_survived) == (0, 0, 1)


def test_what_was_never_sent_must_not_be_there() -> None:
    result = judge(attempts(Outcome.OK, Outcome.REFUSED, Outcome.DROPPED), found(0, 1, 99))
    assert (result.lost, result.unexpected) == (0, 2)
    assert [one.arrival for one in result.examples] == [1, 99]


def test_a_write_that_is_there_twice_is_told() -> None:
    result = judged(2, found(0, 1, 1, 1))
    assert (result.lost, result.unexpected, result.duplicates) == (0, 0, 1)


def test_a_value_that_was_changed_is_lost_and_what_stands_there_is_unexpected() -> None:
    result = judged(2, found(0, changed=(1,), foreign=("'x'",)))
    assert (result.lost, result.unexpected, result.changed, result.found) == (1, 2, 1, 3)


def test_the_age_of_a_loss_is_that_before_the_next_fault() -> None:
    first, second = Blow(0, 10 * MS, 12 * MS), Blow(1, 20 * MS, 21 * MS)
    result = judged(30, found(*range(8), *range(10, 18), *range(20, 30)), first, second)
    assert (result.lost, result.holes) == (4, 0)
    assert result.oldest_lost_age_ns == 20 * MS - 18 * MS - MS // 2
    assert [(one.arrival, one.fault) for one in result.examples] == [(8, 0), (18, 1), (9, 0), (19, 1)]


def test_what_a_dying_server_still_acknowledged_was_lost_by_that_fault() -> None:
    result = judged(12, found(*range(10)), Blow(0, 10 * MS, 15 * MS))
    assert [(one.fault, one.age_ns) for one in result.examples] == [(0, 0), (0, 0)]


def test_a_loss_after_the_last_fault_has_no_age() -> None:
    result = judged(10, found(*range(9)), Blow(0, 2 * MS, 3 * MS))
    assert result.oldest_lost_age_ns is None
    assert result.examples[0].fault is None


def test_a_suffix_of_the_order_is_no_hole_and_a_gap_is() -> None:
    kill = Blow(0, 10 * MS, 11 * MS)
    assert judged(10, found(*range(6)), kill).holes == 0
    gap = judged(10, found(*range(4), *range(5, 10)), kill)
    assert (gap.lost, gap.holes) == (1, 1)
    assert gap.examples[0].what == "lost, though a later one survived"


def test_what_was_taken_while_there_were_two_primaries_is_a_split_and_no_hole() -> None:
    kill = Blow(0, 20 * MS, 21 * MS)
    survivors = found(*range(4), *range(8, 10))
    ledger = attempts(*[Outcome.OK] * 10)
    alone = judge(ledger, survivors, [kill])
    assert (alone.lost, alone.split, alone.holes) == (4, None, 4)
    taken = int(ledger.done_ns[6]), int(ledger.done_ns[7])
    split = judge(ledger, survivors, [kill], [taken])
    assert (split.lost, split.split, split.holes) == (4, 2, 2)
    assert judge(ledger, survivors, [kill], []).split == 0


def test_writes_under_way_at_the_same_time_have_no_order() -> None:
    sent, done = np.array([0, 1]) * MS, np.array([5, 6]) * MS
    both = Attempts(np.arange(2), sent, done, np.zeros(2, np.int64))
    result = judge(both, found(1), [Blow(0, 10 * MS, 11 * MS)])
    assert (result.lost, result.holes) == (1, 0)


def test_survivors_of_another_fault_make_no_hole() -> None:
    result = judged(30, found(*range(12, 30)), Blow(0, 10 * MS, 12 * MS))
    assert (result.lost, result.holes) == (12, 0)


def test_nothing_acknowledged_means_nothing_known() -> None:
    assert judge(attempts(Outcome.TIMEOUT), found()).bound == "nothing was acknowledged, so nothing is known"


@pytest.mark.parametrize(
    ("lost", "of", "sentence"),
    [
        (0, 5000, "0 of 5000 lost: at most 0.06 % with 95 % confidence"),
        (12, 5000, "12 of 5000 lost: 0.24 %"),
        (5000, 5000, "5000 of 5000 lost: 100 %"),
    ],
)
def test_a_count_says_what_it_says_of_the_rate(lost: int, of: int, sentence: str) -> None:
    assert bound(lost, of) == sentence


@given(
    st.lists(st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 3)), max_size=40),
    st.lists(st.integers(0, 60), max_size=5),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=4),
)
def test_the_counts_are_those_of_sets(
    drawn: list[tuple[Outcome, int]], strangers: list[int], blows: list[tuple[int, int]]
) -> None:
    """Jepsen's definitions, word for word, and holes by comparing every pair."""
    ledger = attempts(*[outcome for outcome, _ in drawn])
    there = [n for n, (_, times) in enumerate(drawn) for _ in range(times)] + strangers
    faults = [Blow(number, at * MS, (at + length) * MS) for number, (at, length) in enumerate(sorted(blows))]
    result = judge(ledger, found(*there), faults)
    acknowledged = {n for n, (outcome, _) in enumerate(drawn) if outcome == Outcome.OK}
    attempted = {n for n, (outcome, _) in enumerate(drawn) if outcome not in NEVER_SENT}
    lost = acknowledged - set(there)
    assert result.acknowledged == len(acknowledged)
    assert result.attempted == len(attempted)
    assert result.lost == len(lost)
    assert result.unexpected == len(set(there) - attempted)
    assert result.unknown_survived == len(set(there) & attempted - acknowledged)
    assert result.duplicates == len({n for n in there if there.count(n) > 1})
    if not faults:
        survivors = attempted & set(there)
        assert result.holes == sum(any(other > one for other in survivors) for one in lost)


def test_a_restore_goes_back_to_the_newest_write_with_nothing_missing_before_it() -> None:
    point = recovery_point(attempts(*[Outcome.OK] * 5), found(0, 1, 2), 7, S)
    done_ns = attempts(*[Outcome.OK] * 5).done_ns
    assert (point.fault, point.age_ns, point.written, point.kept) == (7, S - done_ns[2], 5, 3)


def test_a_write_that_is_missing_or_changed_moves_the_point_before_it_whatever_came_back_later() -> None:
    tried = attempts(*[Outcome.OK] * 5)
    for there in (found(0, 2, 3, 4), found(0, 2, 3, 4, changed=(1,))):
        assert recovery_point(tried, there, 7, S).age_ns == S - tried.done_ns[0]


def test_where_not_even_the_first_write_came_back_there_is_no_point() -> None:
    assert recovery_point(attempts(*[Outcome.OK] * 5), found(3, 4), 7, S).age_ns is None
    assert recovery_point(attempts(), found(), 7, S).written == 0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(OUTCOMES), st.booleans()), max_size=20),
    st.integers(0, 60),
)
def test_the_recovery_point_is_that_of_a_walk_through_the_writes(
    writes: list[tuple[int, Outcome, bool]], destroyed_ns: int
) -> None:
    numbers = np.arange(len(writes))
    done_ns = np.array([done for done, _, _ in writes], np.int64)
    ends = np.array([outcome for _, outcome, _ in writes], np.int64)
    there = found(*(number for number, (_, _, is_there) in enumerate(writes) if is_there))
    point = recovery_point(Attempts(numbers, done_ns, done_ns, ends), there, 0, destroyed_ns)
    age_ns, kept = None, 0
    acknowledged = [write for write in writes if write[1] == Outcome.OK and write[0] <= destroyed_ns]
    for done, _, is_there in sorted(acknowledged, key=lambda write: write[0]):
        if not is_there:
            break
        age_ns, kept = destroyed_ns - done, kept + 1
    assert (point.age_ns, point.kept, point.written) == (age_ns, kept, len(acknowledged))
