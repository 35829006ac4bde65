"""One literal history for each cause: the right one ranks first, and a quiet run names none."""

from dataclasses import replace

import numpy as np
import pytest

from bench.explain.events import CauseKind, Event
from bench.explain.explanation import Explanation, explanation_of
from bench.explain.tail import Tail
from tests.explain.histories import MS, QUIET, WINDOWS, event, series, tail

STALLS = {3: 300.0, 11: 250.0, 17: 400.0, 30: 350.0}
"""Windows in which much was slow, at no steady beat."""
OFTEN = [1, 5, 9, 14, 20, 26, 33, 38]
"""Windows with something else, none of them one of STALLS."""


def explained(found: Tail, *events: Event) -> Explanation:
    return explanation_of("run", "scenario", found, events)


@pytest.mark.parametrize(
    "kind",
    [
        CauseKind.FAULT,
        CauseKind.LOCK_WAIT,
        CauseKind.GARBAGE_COLLECTION,
        CauseKind.SNAPSHOT,
        CauseKind.CHECKPOINT,
        CauseKind.SLOW_COMMAND,
        CauseKind.SLOW_STATEMENT,
    ],
)
def test_what_was_there_whenever_it_was_slow_ranks_first(kind: CauseKind) -> None:
    stalls = series(STALLS, QUIET)
    found = explained(tail(stalls), event(CauseKind.WAIT, OFTEN), event(kind, STALLS))
    assert [cause.kind for cause in found.causes] == [kind]
    assert found.causes[0].share == pytest.approx(1300 / (1300 + 36 * QUIET), abs=0.02)
    assert found.causes[0].p == pytest.approx(1 / WINDOWS)
    assert found.unexplained < 0.1


def test_a_lock_is_the_cause_of_the_slow_operation_and_of_the_long_statement() -> None:
    stalls = series(STALLS, QUIET)
    found = explained(
        tail(stalls, slow=(200.0, series(STALLS))),
        event(CauseKind.SLOW_STATEMENT, STALLS, "UPDATE"),
        event(CauseKind.LOCK_WAIT, STALLS, "idle in transaction: UPDATE", "postgres"),
    )
    assert found.causes[0].kind is CauseKind.LOCK_WAIT
    assert len(found.causes) == 1


def test_one_slow_operation_takes_the_blame_for_those_that_it_held_up() -> None:
    calls = {2: 1.0, 8: 2.0, 9: 1.0, 15: 1.0, 21: 1.0, 27: 2.0, 33: 1.0, 38: 1.0}
    behind = {window: 60 * count for window, count in calls.items()}
    both = series({window: calls[window] + behind[window] for window in calls})
    found = explained(tail(both, slow=(1.0, series(calls))))
    assert found.causes[0].kind is CauseKind.OPERATION
    assert found.causes[0].subject == "cache.scan"
    assert found.causes[0].share > 0.95


def test_the_slow_log_alone_names_a_command_that_is_not_of_the_load() -> None:
    found = explained(tail(series(STALLS, QUIET)), event(CauseKind.SLOW_COMMAND, STALLS, "KEYS"))
    assert (found.causes[0].kind, found.causes[0].text) == (CauseKind.SLOW_COMMAND, "KEYS")


def test_a_neighbour_that_takes_the_processor_is_the_cause_of_the_generator_being_late() -> None:
    stalls = series(STALLS, QUIET)
    found = explained(
        tail(stalls, net=series(usual=QUIET)),
        event(CauseKind.OTHER_PROCESSES, STALLS, "the generator waited for a processor", "machine"),
    )
    assert [cause.kind for cause in found.causes] == [CauseKind.OTHER_PROCESSES]


def test_a_neighbour_that_was_there_all_the_time_is_known_by_what_the_generator_lost() -> None:
    found = explained(
        tail(series(STALLS, 50.0), net=series(usual=QUIET)),
        event(CauseKind.OTHER_PROCESSES, range(WINDOWS), "the generator waited for a processor", "machine"),
    )
    assert [cause.kind for cause in found.causes] == [CauseKind.OTHER_PROCESSES]
    assert found.causes[0].p is None


def test_a_late_generator_blames_nobody_else() -> None:
    found = explained(tail(series(STALLS, QUIET), net=series(usual=QUIET)), event(CauseKind.WAIT, OFTEN))
    assert [cause.kind for cause in found.causes] == [CauseKind.GENERATOR]


def test_a_standstill_of_the_generator_is_its_own_where_it_did_not_want_a_processor() -> None:
    """Others were there all the time, but they did not hold it up when it was late."""
    stalls = series(STALLS, QUIET)
    long_waits = {"response": 900.0, "net": 5.0}
    beside = event(CauseKind.OTHER_PROCESSES, range(WINDOWS), "the generator waited", "machine")
    stood_still = tail(stalls, net=series(usual=QUIET), longest_ms=long_waits)
    own = explained(replace(stood_still, held_ns=series(usual=50.0 * MS)), beside)
    theirs = explained(replace(stood_still, held_ns=series(usual=800.0 * MS)), beside)
    assert [cause.kind for cause in own.causes] == [CauseKind.GENERATOR]
    assert [cause.kind for cause in theirs.causes] == [CauseKind.OTHER_PROCESSES]


def test_an_operation_that_holds_nearly_everything_up_is_known_by_how_long_it_takes_itself() -> None:
    calls = {2: 1.0, 8: 1.0, 13: 1.0, 19: 1.0, 26: 1.0, 33: 1.0, 38: 1.0}
    both = series(dict.fromkeys(calls, 500.0), 2.0)
    found = explained(tail(both, slow=(0.2, series(calls)), service_ms=(1.0, 400.0)))
    assert [(cause.kind, cause.subject) for cause in found.causes] == [(CauseKind.OPERATION, "cache.scan")]


def test_too_few_lanes_are_where_arrivals_waited_and_answers_did_not_take_long() -> None:
    waited = series(usual=80.0)
    found = explained(
        tail(
            waited,
            service=series(),
            longest_ms={"response": 60.0, "net": 60.0, "service": 5.0, "service_net": 5.0},
        )
    )
    assert [cause.kind for cause in found.causes] == [CauseKind.LANES]


def test_a_stall_that_keeps_all_lanes_busy_is_no_lack_of_lanes() -> None:
    found = explained(tail(series(STALLS, QUIET), service=series(dict.fromkeys(STALLS, 4.0))))
    assert found.causes == ()
    assert found.unexplained == 1.0


def test_a_full_target_explains_slow_answers_all_along() -> None:
    found = explained(tail(series(usual=100.0)), event(CauseKind.TARGET_CPU, range(WINDOWS), "full"))
    assert [cause.kind for cause in found.causes] == [CauseKind.TARGET_CPU]


def test_two_causes_share_the_tail() -> None:
    stalls = series({**STALLS, 6: 200.0, 24: 250.0, 36: 220.0})
    found = explained(
        tail(stalls),
        event(CauseKind.CHECKPOINT, STALLS, subject="postgres"),
        event(CauseKind.LOCK_WAIT, [6, 24, 36], subject="postgres"),
    )
    assert [cause.kind for cause in found.causes] == [CauseKind.CHECKPOINT, CauseKind.LOCK_WAIT]
    assert 0.95 < sum(cause.share for cause in found.causes) <= 1.0


def test_a_quiet_run_has_no_tail_to_explain() -> None:
    found = explained(tail(series({5: 3.0})), event(CauseKind.SNAPSHOT, [5]))
    assert not found.has_tail
    assert (found.causes, found.possible) == ((), ())


def test_what_was_there_at_other_times_is_not_named() -> None:
    found = explained(tail(series(STALLS, QUIET)), event(CauseKind.SNAPSHOT, OFTEN))
    assert found.causes == ()
    assert found.unexplained == 1.0


def test_one_coincidence_among_many_events_is_possible_but_not_named() -> None:
    one_stall = series({17: 400.0})
    events = [event(CauseKind.SLOW_COMMAND, [window], f"C{window}") for window in (4, 9, 17, 22, 31)]
    found = explained(tail(one_stall), *events)
    assert found.causes == ()
    assert [(cause.text, cause.share) for cause in found.possible] == [("C17", pytest.approx(1.0))]


def test_a_run_without_windows_is_explained_by_nothing() -> None:
    empty = np.array([], dtype=np.int64)
    found = explained(Tail(empty, empty, []))
    assert (found.has_tail, found.causes, found.windows) == (False, (), 0)
