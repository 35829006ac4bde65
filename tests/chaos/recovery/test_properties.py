"""What holds for the recovery of every history, however it went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.results.fault_records import RecoveryRecord
from tests.chaos.recovery.histories import BEFORE, MS, SHORT, Row, after, ms, steady

OUTCOMES = ("ok", "ok", "ok", "error", "timeout", "reset", "refused", "dropped")
QUIET = replace(SHORT, quiet_ns=20 * MS, arrivals=5)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Up to 60 arrivals in 90 .. 200 ms, of any outcome and any length."""
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 60))):
        outcome = draw(st.sampled_from(OUTCOMES))
        planned = draw(st.integers(900, 1990)) / 10
        waited = draw(st.sampled_from([0, 0, 0.1, 5, 30]))
        served = draw(st.sampled_from([0.2, 0.5, 3, 25]))
        sent = None if outcome in ("refused", "dropped") else planned + waited
        rows.append((outcome, planned, sent, round(planned + waited + served, 3)))
    return rows


STAMPS = (
    "effective_ns",
    "until_ns",
    "first_failure_ns",
    "first_success_ns",
    "stable_ns",
    "full_ns",
    "quiet_since_ns",
    "slow_from_ns",
    "drained_ns",
)


def shifted(found: RecoveryRecord, by_ns: int) -> RecoveryRecord:
    moved = {name: getattr(found, name) for name in STAMPS}
    return found.model_copy(update={name: None if at is None else at + by_ns for name, at in moved.items()})


@given(histories(), st.integers(0, 10**6))
def test_a_later_run_has_the_same_recovery_later(rows: list[Row], by: int) -> None:
    later = [
        (outcome, planned + by, None if sent is None else sent + by, done + by)
        for outcome, planned, sent, done in rows
    ]
    found = after(later, 100 + by, 200 + by, criteria=QUIET)
    assert found == shifted(after(rows, criteria=QUIET), by * MS)


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_the_log_does_not_matter(rows: list[Row], random: object) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert after(mixed, criteria=QUIET) == after(rows, criteria=QUIET)


@given(histories(), st.integers(1, 80))
def test_what_went_well_before_the_fault_changes_nothing(rows: list[Row], more: int) -> None:
    assert after([*steady(99 - more, 99), *rows], criteria=QUIET) == after(rows, criteria=QUIET)


@given(histories(), st.booleans())
def test_stamps_are_in_order_and_within_the_watch(rows: list[Row], closed: bool) -> None:
    found = after(rows, criteria=QUIET, closed=closed)
    known = [
        at
        for at in (found.first_failure_ns, found.first_success_ns, found.stable_ns, found.full_ns)
        if at is not None
    ]
    assert known == sorted(known)
    assert all(found.effective_ns <= at < found.until_ns for at in known)
    assert (found.first_failure_ns is None) == (found.state in ("unaffected", "unseen"))
    assert (found.stable_ns is not None) == (found.state == "recovered")
    assert found.first_success_ns is not None or found.stable_ns is None


@given(histories())
def test_downtime_covers_the_first_outage_and_fits_the_watch(rows: list[Row]) -> None:
    found = after(rows, criteria=QUIET)
    if found.first_failure_ns is None:
        assert found.downtime_ns == 0
        return
    back = found.until_ns if found.first_success_ns is None else found.first_success_ns
    outage_ns = back - found.first_failure_ns
    # An answer that comes late while others are answered in time is slow, and no downtime.
    is_down = not found.stalled or outage_ns > BEFORE.stall_ns
    assert (outage_ns if is_down else 0) <= found.downtime_ns <= found.until_ns - found.first_failure_ns


@given(histories())
def test_every_lost_arrival_is_counted_once(rows: list[Row]) -> None:
    """With nothing left hanging at the end, all that ended badly since the fault is there."""
    quiet = [row for row in rows if row[3] < 200 and row[1] >= 100]
    found = after(quiet, criteria=QUIET)
    assert found.failed == sum(outcome != "ok" for outcome, *_ in quiet)


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(1, 5))
def test_an_outage_of_any_length_is_known_to_the_time_between_two_arrivals(length: int, spacing: int) -> None:
    """A constant schedule, down for `length` ms, everything planned in it answered at its end."""
    rows: list[Row] = []
    for at in np.arange(0, 2000, spacing, dtype=float):
        down = 1000.3 <= at < 1000.3 + length
        sent = 1000.3 + length if down else at
        rows.append(("ok", float(at), float(sent), round(float(sent) + 0.2, 3)))
    found = after(rows, 1000.3, 2000, criteria=QUIET)
    if length < 20:
        return  # shorter than the stall threshold may be no outage at all
    assert 0 <= (ms(found.first_failure_ns) or 0) - 1000.3 <= spacing
    assert 0 <= (ms(found.first_success_ns) or 0) - (1000.3 + length) <= 1
