"""Every stamp of a recovery, read off histories that a person can check."""

from dataclasses import replace

import pytest

from chaos.recovery.baseline import Arrivals, baseline_of
from tests.chaos.recovery.histories import BEFORE, MS, SHORT, after, log_of, lost, ms, steady

KILL = [
    *steady(90, 100),
    ("reset", 99.4, 100.2, 102.4),  # no answer since it was sent, and its end took the dying 2 ms
    *lost("refused", 101, 120),  # ends at 121 .. 139
    ("ok", 120, 139.8, 140),  # waited for a connection, and was the first to get through
    *[("ok", at, 140 + (at - 121) * 0.1, 140.3 + (at - 121) * 0.1) for at in range(121, 140)],
    *steady(140, 200, response=2.5),  # slower than before, until ...
]


def test_a_kill_has_all_its_stamps() -> None:
    found = after([*KILL[:-60], *steady(140, 160, response=2.5), *steady(160, 200)])
    assert found.state == "recovered"
    assert ms(found.first_failure_ns) == 100.2
    assert ms(found.first_success_ns) == 140
    assert ms(found.stable_ns) == 140
    assert ms(found.full_ns) == 160
    assert ms(found.downtime_ns) == pytest.approx(39.8)
    assert found.outcomes == {"reset": 1, "refused": 19}
    assert found.failed == 20
    assert found.planned_in_outage == 39


def test_a_request_that_was_under_way_and_reset_is_harmed_from_the_fault_on() -> None:
    found = after([*steady(90, 100), ("reset", 98, 98, 100.2), *steady(101, 200)])
    assert ms(found.first_failure_ns) == 100


def test_a_reset_is_no_harm_while_others_were_still_answered() -> None:
    """A long request that a server in its ordered end gives up at 107.8; until 107.5 it served others."""
    found = after([*steady(90, 108), ("reset", 101, 101, 107.8), *steady(130, 200)])
    assert ms(found.first_failure_ns) == 107.5


@pytest.mark.parametrize("outcome", ["timeout", "refused", "dropped"])
def test_what_nobody_answered_counts_from_its_planned_time(outcome: str) -> None:
    found = after([*steady(90, 103), *lost(outcome, 103, 110), *steady(110, 200)])
    assert ms(found.first_failure_ns) == 103


def test_a_request_under_way_when_it_froze_is_harmed_by_the_fault_not_before_it() -> None:
    found = after([*steady(90, 99), ("timeout", 99, 99, 119), *steady(130, 200)])
    assert ms(found.first_failure_ns) == 100


def test_harm_may_begin_before_the_effect_was_noticed_but_not_before_it_was_asked_for() -> None:
    rows = [*steady(80, 94), ("reset", 94.5, 94.5, 97), ("timeout", 94, 94, 114), *steady(120, 200)]
    assert ms(after(rows, effective=100, asked=95).first_failure_ns) == 95
    assert ms(after(rows, effective=100, asked=96).first_failure_ns) == 96


def test_an_error_that_was_over_before_the_effect_is_not_where_the_outage_begins() -> None:
    """Asked at 95, effective at 103; one error at 97 with answers around it, and nothing from 103 on."""
    stray = [*steady(80, 97), ("error", 97, 97, 97.2), *steady(98, 103)]
    found = after([*stray, *lost("refused", 103, 130), *steady(130, 200)], effective=103, asked=95)
    assert ms(found.first_failure_ns) == 103
    assert ms(found.first_success_ns) == 130.5
    assert ms(found.downtime_ns) == 27.5


def test_an_outage_that_contains_the_effect_began_before_it_was_noticed() -> None:
    """The engine's word of a death comes after the death."""
    stray = [*steady(80, 96), ("error", 96, 96, 96.1), *steady(97, 99)]
    found = after([*stray, *lost("refused", 99, 130), *steady(130, 200)], effective=108, asked=95)
    assert ms(found.first_failure_ns) == 99


def test_what_was_harmed_only_between_the_call_and_a_late_stamp_is_the_faults() -> None:
    """Connections that are reset in one moment: by the time it is noticed they may be back."""
    rows = [*steady(80, 97), ("reset", 97, 97, 97.2), *steady(98, 200)]
    found = after(rows, effective=103, asked=95)
    assert (found.state, ms(found.first_failure_ns), ms(found.first_success_ns)) == ("recovered", 97, 98.5)


def test_an_error_answer_is_a_failure_at_its_end() -> None:
    found = after([*steady(90, 105), ("error", 105, 105, 105.4), *steady(106, 200)])
    assert ms(found.first_failure_ns) == 105.4
    assert ms(found.first_success_ns) == 106.5


def test_a_short_outage_without_any_failed_request_is_seen_by_what_had_to_wait() -> None:
    """Down from 100 to 140 with a long deadline: nothing fails, and 30 arrivals wait past the threshold."""
    waited = [("ok", at, 140, 140.2) for at in range(100, 140)]
    found = after([*steady(90, 100), *waited, *steady(141, 200)])
    assert ms(found.first_failure_ns) == 100
    assert ms(found.first_success_ns) == 140.2
    assert ms(found.stable_ns) == 140.2
    assert found.failed == 0
    assert found.stalled == 31
    assert ms(found.downtime_ns) == pytest.approx(40.2)


def test_a_pause_answers_what_was_sent_before_it_but_succeeds_with_what_was_sent_after() -> None:
    frozen = [("ok", at, at, 150 + (at - 99) * 0.01) for at in range(99, 150)]
    found = after([*steady(90, 99), *frozen, *steady(151, 200)])
    assert ms(found.first_failure_ns) == 100
    assert ms(found.first_success_ns) == 150.01


def test_an_answer_that_was_already_on_its_way_is_no_success_after_the_failure() -> None:
    rows = [("ok", 99, 99, 100.1), ("reset", 99.5, 99.5, 100.15), *steady(130, 200)]
    assert ms(after(rows).first_success_ns) == 130.5


def test_stable_is_the_first_success_of_a_quiet_time() -> None:
    """Flaps at 112: between 110 and 112 it was quiet for 2 ms only, after 113 for good."""
    rows = [*lost("refused", 100, 110), *steady(110, 112), ("error", 112, 112, 112.2), *steady(113, 200)]
    found = after(rows)
    assert ms(found.first_success_ns) == 110.5
    assert ms(found.stable_ns) == 113.5


@pytest.mark.parametrize(("arrivals", "stable"), [(3, 110.5), (22, 131.5)])
def test_a_quiet_time_needs_its_arrivals_too(arrivals: int, stable: float) -> None:
    rows = [*lost("refused", 100, 110), *steady(110, 130), ("error", 130, 130, 130.2), *steady(131, 200)]
    found = after(rows, criteria=replace(SHORT, arrivals=arrivals))
    assert ms(found.stable_ns) == stable


def test_a_single_failure_after_a_quiet_time_is_told_and_moves_no_stamp() -> None:
    rows = [*lost("refused", 100, 110), *steady(110, 150), ("error", 150, 150, 150.2), *steady(151, 200)]
    found = after(rows)
    assert ms(found.stable_ns) == 110.5
    assert found.failed_after_stable == 1


def test_failures_that_were_usual_before_do_not_keep_it_from_being_stable() -> None:
    rows = [*lost("refused", 100, 110), *steady(110, 200), ("error", 112.4, 112.4, 112.5)]
    criteria = replace(SHORT, quiet_ns=88 * MS)
    assert after(rows, criteria=criteria).stable_ns is None
    assert ms(after(rows, baseline=replace(BEFORE, harmed_ratio=0.01), criteria=criteria).stable_ns) == 110.5


def test_more_failures_than_were_usual_keep_it_from_being_stable() -> None:
    """One percent was usual, and from 110 on it is 15 %."""
    bad = [("error", at, at, at + 0.1) for at in range(110, 200, 7)]
    rows = [*lost("refused", 100, 110), *(row for row in steady(110, 200) if row[1] % 7 != 110 % 7), *bad]
    criteria, usual = replace(SHORT, quiet_ns=80 * MS), replace(BEFORE, harmed_ratio=0.01)
    assert after(rows, baseline=usual, criteria=criteria).stable_ns is None


def test_full_performance_waits_for_the_response_to_be_back_in_the_band() -> None:
    rows = [*lost("refused", 100, 110), *steady(110, 130, response=2.1), *steady(130, 200, response=1.9)]
    found = after(rows)
    assert ms(found.stable_ns) == 112.1
    assert ms(found.full_ns) == 130


def test_full_performance_of_a_closed_loop_waits_for_the_throughput() -> None:
    """Fast answers, but half as many as before until 130."""
    half = [("ok", at, at, at + 0.5) for at in range(110, 130, 2)]
    rows = [*lost("refused", 100, 110), *half, *steady(130, 200)]
    assert 110 < (ms(after(rows, closed=True).full_ns) or 0) <= 130
    assert (ms(after(rows, closed=True).full_ns) or 0) > 124
    assert ms(after(rows).full_ns) == 110.5


def test_without_enough_before_the_fault_full_performance_is_unknown() -> None:
    found = after([*lost("refused", 100, 110), *steady(110, 200)], baseline=replace(BEFORE, band_ns=None))
    assert ms(found.stable_ns) == 110.5
    assert found.full_ns is None
    assert found.full_cut_short is False
    assert found.drained_ns is None


# --- no effect, no return, no arrivals -------------------------------------------------------------------


def test_a_fault_without_any_visible_effect_leaves_no_stamp() -> None:
    found = after(steady(50, 200))
    assert found.state == "unaffected"
    assert (found.first_failure_ns, found.first_success_ns, found.stable_ns, found.full_ns) == (None,) * 4
    assert (found.downtime_ns, found.failed, found.stalled, found.slow_from_ns) == (0, 0, 0, None)


def test_a_fault_that_only_slows_is_unaffected_with_a_slow_time() -> None:
    found = after([*steady(50, 110), *steady(110, 140, response=4), *steady(140, 200)])
    assert found.state == "unaffected"
    assert ms(found.slow_from_ns) == 106  # the first window of 5 ms that holds a slow arrival
    assert ms(found.full_ns) == 140
    assert found.brown_out_ns == 30 * 2 * MS
    assert found.downtime_ns == 0


def test_a_target_that_never_comes_back_is_told_with_the_time_waited() -> None:
    found = after([*steady(50, 100), *lost("refused", 100, 180, deadline=20)])
    assert found.state == "never"
    assert (found.first_success_ns, found.stable_ns, found.full_ns) == (None, None, None)
    assert ms(found.downtime_ns) == 100
    assert ms(found.waited_ns) == 100


def test_failing_to_the_end_is_never_back_although_there_were_successes() -> None:
    flapping = [
        row for at in range(100, 199, 2) for row in (("error", at, at, at + 0.1), *steady(at + 1, at + 2))
    ]
    found = after([*flapping, ("error", 199, 199, 199.9)])
    assert found.state == "never"
    assert ms(found.first_success_ns) == 101.5
    assert found.stable_ns is None


def test_a_watch_that_ends_too_early_is_cut_short_not_never() -> None:
    found = after([*steady(50, 100), *lost("refused", 100, 196, deadline=3), *steady(196, 200)])
    assert found.state == "cut_short"
    assert ms(found.first_success_ns) == 196.5
    assert ms(found.quiet_since_ns) == 196.5
    assert found.stable_ns is None


def test_too_short_a_watch_for_full_performance_is_told() -> None:
    found = after(
        [*lost("refused", 100, 190, deadline=3), *steady(190, 200)],
        criteria=replace(SHORT, window_ns=20 * MS),
    )
    assert ms(found.stable_ns) == 190.5
    assert found.full_ns is None
    assert found.full_cut_short


@pytest.mark.parametrize("rows", [[], steady(10, 50)])
def test_without_arrivals_nothing_is_seen_which_is_not_unaffected(rows: list) -> None:
    found = after(rows)
    assert found.state == "unseen"
    assert found.failed == 0


# --- several faults --------------------------------------------------------------------------------------


def test_what_the_next_fault_interrupts_is_not_blamed_on_this_one() -> None:
    first = [*steady(50, 100), *lost("refused", 100, 110), *steady(110, 199)]
    rows = [*first, ("reset", 199, 199, 200.1), ("timeout", 199.5, 199.5, 219.5), *steady(215, 300)]
    one, two = after(rows, 100, 200), after(rows, 200, 300)
    assert one.state == two.state == "recovered"
    assert one.failed_after_stable == 0
    assert one.failed == 10
    assert ms(two.first_failure_ns) == 200
    assert two.outcomes == {"reset": 1, "timeout": 1}


def test_what_had_hung_for_long_when_the_next_fault_came_is_blamed_on_the_first() -> None:
    rows = [*steady(50, 100), *lost("timeout", 100, 230, deadline=60), *steady(230, 400)]
    one, two = after(rows, 100, 200), after(rows, 200, 400)
    assert one.state == "never"
    assert ms(two.first_failure_ns) == 200
    assert ms(two.stable_ns) == 230.5


# --- what it cost ----------------------------------------------------------------------------------------


def test_downtime_adds_up_the_intervals_without_success() -> None:
    rows = [*lost("refused", 100, 110), *steady(110, 120), *lost("refused", 120, 130), *steady(130, 200)]
    found = after(rows, criteria=replace(SHORT, quiet_ns=20 * MS, arrivals=20))
    assert ms(found.first_success_ns) == 110.5
    assert ms(found.stable_ns) == 130.5
    assert ms(found.downtime_ns) == 10.5 + 11  # 100 to 110.5, and 119.5 to 130.5


def test_late_but_steady_answers_are_slow_and_no_downtime() -> None:
    """20 ms of delay from 100 to 150: for the first 20 ms nothing came, then always something."""
    late = [("ok", at, at, at + 20) for at in range(100, 150)]
    found = after([*steady(50, 100), *late, *steady(150, 200)])
    assert ms(found.first_failure_ns) == 100
    assert ms(found.first_success_ns) == 120
    assert ms(found.downtime_ns) == 20
    assert ms(found.stable_ns) == 150  # 149 was planned before it and harmed at 149


def test_the_brown_out_is_the_time_over_the_band_before_during_and_after() -> None:
    rows = [
        *steady(50, 100),
        ("ok", 100, 100, 105),  # 3 over the band before the first failure
        ("error", 105, 105, 105.2),
        ("ok", 106, 119, 120),  # 12 over it, planned in the outage
        *steady(120, 130, response=2.5),  # ten times a half after it
        *steady(130, 200),
    ]
    found = after(rows)
    assert found.brown_out.to_json() == {"before_ns": 3 * MS, "outage_ns": 12 * MS, "after_ns": 5 * MS}
    assert found.brown_out_ns == 20 * MS


def test_the_backlog_is_drained_when_an_answer_is_within_the_band_again() -> None:
    waited = [("ok", at, 140 + (at - 100) * 0.1, 140.2 + (at - 100) * 0.1) for at in range(100, 143)]
    found = after([*steady(90, 100), *waited, *steady(145, 200)])
    assert ms(found.first_success_ns) == 140.2
    assert ms(found.drained_ns) == 145.5  # what was planned at 142 was done at 144.4: over the band


def test_the_resolution_is_the_time_between_two_arrivals() -> None:
    assert after(steady(50, 200)).resolution_ns == MS


# --- the baseline ----------------------------------------------------------------------------------------


def test_the_baseline_is_the_measured_time_before_the_first_fault() -> None:
    log = Arrivals.of(
        log_of([*steady(0, 100, response=9), *steady(100, 300), *steady(300, 400, response=90)])
    )
    found = baseline_of(log, [(100 * MS, 400 * MS)], 300 * MS)
    assert (found.from_ns, found.until_ns, found.samples) == (100 * MS, 300 * MS, 200)
    assert found.p99_ns == MS // 2
    assert found.band_ns == MS // 2 * 5 // 4 + MS
    assert found.stall_ns == 100 * MS
    assert found.ok_per_s == found.planned_per_s == 1000


def test_a_fault_early_in_the_measured_time_is_compared_with_the_warm_up_too() -> None:
    found = baseline_of(Arrivals.of(log_of(steady(0, 300))), [(250 * MS, 400 * MS)], 300 * MS)
    assert (found.from_ns, found.samples) == (0, 300)


def test_with_fewer_than_100_arrivals_before_it_there_is_no_band() -> None:
    found = baseline_of(Arrivals.of(log_of(steady(0, 99))), [(0, 99 * MS)], 99 * MS)
    assert (found.p99_ns, found.band_ns, found.stall_ns) == (None, None, 100 * MS)


def test_slow_services_have_a_higher_stall_threshold() -> None:
    found = baseline_of(Arrivals.of(log_of(steady(0, 300, response=40))), [(0, 340 * MS)], 341 * MS)
    assert found.stall_ns == 160 * MS


def test_failures_before_the_fault_are_counted_as_usual() -> None:
    log = log_of([*steady(0, 297), *(("error", at, at, at + 0.1) for at in range(3))])
    assert baseline_of(Arrivals.of(log), [(0, 300 * MS)], 300 * MS).harmed_ratio == 0.01
