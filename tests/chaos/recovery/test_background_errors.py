"""Recovery where some arrivals fail all the time: the outage is told from them, and back means as before."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.outcome import Outcome
from bench.results.fault_records import RecoveryRecord
from chaos.recovery.baseline import Arrivals, baseline_of
from chaos.recovery.recovery import NO_CLEAN_BASELINE, recovery_of
from tests.chaos.recovery.histories import MS, OF

ASKED, EFFECTIVE, BACK, END = 5000, 5100, 8100, 12_000
"""ms: an arrival each millisecond, of which none is answered between the effect and the return."""


def harmed_by(
    share: float,
    seed: int = 1,
    *,
    strays: tuple[int, ...] = (),
    after: float | None = None,
    outage: bool = True,
) -> RecoveryRecord:
    """The recovery where `share` of all arrivals fail; `after` the return, another share."""
    planned = np.arange(END, dtype=np.int64) * MS
    chance = np.random.default_rng(seed).random(END)
    shares = np.full(END, float(share))
    if after is not None:
        shares[BACK:] = after
    ends = np.full(END, int(Outcome.OK), dtype=np.int64)
    ends[chance < shares] = int(Outcome.ERROR)
    ends[list(strays)] = int(Outcome.ERROR)
    done = planned + MS // 5
    if outage:
        ends[EFFECTIVE:BACK] = int(Outcome.REFUSED)
        done[EFFECTIVE:BACK] += 50 * MS
    arrivals = Arrivals(planned, planned + 1000, done, ends)
    baseline = baseline_of(arrivals, [(0, END * MS)], ASKED * MS)
    return recovery_of(arrivals, baseline, EFFECTIVE * MS, END * MS, asked_ns=ASKED * MS, **OF)


@pytest.mark.parametrize("share", [0, 0.002, 0.02, 0.05, 0.08])
@pytest.mark.parametrize("seed", range(5))
def test_the_outage_has_its_true_edges_and_back_is_as_before(share: float, seed: int) -> None:
    found = harmed_by(share, seed)
    assert found.state == "recovered"
    assert found.first_failure_ns is not None
    # An error just before it belongs to the same stretch without a success.
    assert EFFECTIVE * MS - 3 * MS <= found.first_failure_ns <= EFFECTIVE * MS
    assert BACK * MS < (found.first_success_ns or 0) <= BACK * MS + 4 * MS
    assert found.stable_ns == found.full_ns == found.first_success_ns
    assert 3000 * MS < found.downtime_ns < 3010 * MS


@pytest.mark.parametrize("share", [0, 0.02, 0.05])
def test_stray_errors_between_the_call_and_the_effect_move_no_edge(share: float) -> None:
    found = harmed_by(share, strays=(5020, 5050, 5051, 5095))
    assert abs((found.first_failure_ns or 0) - EFFECTIVE * MS) <= MS


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("share", [0.002, 0.02, 0.05, 0.08])
def test_errors_that_were_there_before_are_no_effect_of_a_fault(share: float, seed: int) -> None:
    found = harmed_by(share, seed, outage=False)
    assert (found.state, found.first_failure_ns, found.downtime_ns) == ("unaffected", None, 0)
    assert found.slow_from_ns is None


@pytest.mark.parametrize(("before", "after"), [(0, 0.02), (0.02, 0.1), (0.05, 0.2)])
def test_more_errors_than_before_are_neither_stable_nor_full(before: float, after: float) -> None:
    found = harmed_by(before, after=after)
    assert found.first_success_ns is not None
    assert found.state != "recovered"
    assert (found.stable_ns, found.full_ns) == (None, None)


def test_a_fault_that_only_raises_the_share_of_errors_is_seen_where_it_rises() -> None:
    """From 5 % to a quarter at 8.1 s: no stretch is long enough for a whole outage, the share says it."""
    found = harmed_by(0.05, after=0.25, outage=False)
    assert found.state != "recovered"
    assert abs((found.first_failure_ns or 0) - BACK * MS) < 100 * MS


@pytest.mark.parametrize("share", [0.2, 0.3, 0.45, 0.5, 0.6, 1.0])
def test_where_too_much_failed_before_there_is_nothing_to_come_back_to(share: float) -> None:
    found = harmed_by(share)
    assert found.state == NO_CLEAN_BASELINE
    assert (found.stable_ns, found.full_ns, found.quiet_since_ns) == (None, None, None)
    assert found.baseline.harmed_ratio == pytest.approx(share, abs=0.02)


def test_a_baseline_without_harm_tolerates_none() -> None:
    found = harmed_by(0, strays=(BACK + 300,))
    assert found.stable_ns is not None
    assert found.stable_ns > (BACK + 300) * MS
