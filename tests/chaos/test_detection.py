"""Which observation belongs to which fault: hand-written histories, in seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.core.outcome import Outcome
from bench.engine.wire.layout import LOG_RECORD
from bench.stack.docker.container_facts import Container
from bench.stack.supervisor.supervised import StackEvent
from chaos.detectors.detection import (
    Observation,
    Window,
    client_observations,
    matched,
    shorter_than,
    stack_observations,
    too_few_failures,
    too_few_looks,
)
from chaos.detectors.polling import BREAKER, open_time_ns

S = 1_000_000_000


def down(at_s: float, target: str = "redis") -> Observation:
    return Observation("probe", target, round(at_s * S), True, "down")


def up(at_s: float) -> Observation:
    return Observation("probe", "redis", round(at_s * S), False, "up")


def window(fault: int, from_s: float, healed_s: float | None, kind: str = "kill", *targets: str) -> Window:
    calm_s = (healed_s if healed_s is not None else 100) + 5
    healed_ns = None if healed_s is None else round(healed_s * S)
    return Window(fault, kind, targets or ("redis",), round(from_s * S), healed_ns, round(calm_s * S))


def told(windows: list[Window], *seen: Observation) -> tuple[dict[int, float | None], list[float]]:
    """When each fault was detected, and the false alarms; in seconds."""
    detections, alarms = matched(windows, {"probe": seen})
    at = {one.fault: one.at_ns for one in detections}
    return {fault: None if ns is None else ns / S for fault, ns in at.items()}, [
        alarm.at_ns / S for alarm in alarms
    ]


def test_the_first_observation_after_a_fault_detects_it() -> None:
    assert told([window(0, 10, 11)], down(10.2), up(11), down(10.5)) == ({0: 10.2}, [])


def test_a_fault_without_observation_is_missed() -> None:
    assert told([window(0, 10, 11)]) == ({0: None}, [])


def test_what_was_seen_before_the_fault_or_long_after_is_a_false_alarm() -> None:
    assert told([window(0, 10, 11)], down(9.9), down(10.3), down(16.5)) == ({0: 10.3}, [9.9, 16.5])


def test_a_detector_may_be_late_while_the_target_is_still_down() -> None:
    assert told([window(0, 10, 30)], down(29)) == ({0: 29}, [])


def test_a_fault_that_never_healed_explains_everything_after_it() -> None:
    assert told([window(0, 10, None)], down(50), down(90)) == ({0: 50}, [])


def test_of_two_faults_after_each_other_each_has_its_own_detection() -> None:
    found = told([window(0, 10, 11), window(1, 13, 14)], down(10.5), down(13.1))
    assert found == ({0: 10.5, 1: 13.1}, [])


def test_a_missed_fault_does_not_borrow_the_detection_of_the_next() -> None:
    assert told([window(0, 10, 11), window(1, 13, 14)], down(13.1)) == ({0: None, 1: 13.1}, [])


def test_while_two_faults_hold_at_once_an_observation_is_of_both() -> None:
    windows = [window(0, 10, 20, "latency"), window(1, 12, 13)]
    assert told(windows, down(12.5)) == ({0: 12.5, 1: 12.5}, [])


def test_faults_on_other_targets_at_the_same_time_keep_their_own_observations() -> None:
    windows = [window(0, 10, 11, "kill", "redis"), window(1, 10, 12, "kill", "postgres")]
    assert told(windows, down(10.5), down(10.7, "postgres")) == ({0: 10.5, 1: 10.7}, [])


def test_a_target_that_stands_on_another_is_seen_to_fail_with_it() -> None:
    assert told([window(0, 10, 11, "kill", "redis", "api")], down(10.5, "api")) == ({0: 10.5}, [])


def test_an_observation_of_a_target_that_was_not_hit_is_a_false_alarm() -> None:
    assert told([window(0, 10, 11)], down(10.5, "postgres")) == ({0: None}, [10.5])


def test_what_is_seen_after_nothing_was_done_is_a_false_alarm_and_no_miss() -> None:
    assert told([window(0, 10, 10, "nothing")]) == ({}, [])
    assert told([window(0, 10, 10, "nothing")], down(10.5)) == ({}, [10.5])


def test_what_is_seen_while_we_look_on_is_a_false_alarm_unless_a_client_was_failed() -> None:
    looks = window(0, 10, 10, "observe")
    assert told([looks], down(10.5)) == ({}, [10.5])
    assert told([replace(looks, outage=(round(10.2 * S), 11 * S))], down(10.5)) == ({0: 10.5}, [])


def test_nothing_beside_a_fault_takes_no_observation_from_it() -> None:
    windows = [window(0, 10, 11), window(1, 10.2, 10.2, "nothing")]
    assert told(windows, down(10.5)) == ({0: 10.5}, [])


def test_every_detector_that_was_at_work_has_a_say_on_every_fault() -> None:
    detections, _ = matched([window(0, 10, 11)], {"probe": [down(10.5)], "engine_event": []})
    assert [(one.detector, one.at_ns) for one in detections] == [
        ("probe", 10.5 * S),
        ("engine_event", None),
    ]


# --- detectors ------------------------------------------------------------------------------------------


def log(*ends: tuple[float, Outcome]) -> np.ndarray:
    records = np.zeros(len(ends), LOG_RECORD)
    records["done_ns"] = [round(at * S) for at, _ in ends]
    records["outcome"] = [int(outcome) for _, outcome in ends]
    return records


OK, RESET = Outcome.OK, Outcome.RESET


def seen_by_clients(*ends: tuple[float, Outcome]) -> list[tuple[float, bool]]:
    found = client_observations(log(*ends), "redis", 7 * S)
    return [(one.at_ns / S - 7, one.is_down) for one in found]


def test_clients_notice_at_the_third_failure_in_a_row_and_again_at_the_next_success() -> None:
    ends = [(1, OK), (2, RESET), (3, RESET), (4, RESET), (5, RESET), (6, OK), (7, OK)]
    assert seen_by_clients(*ends) == [(4, True), (6, False)]


def test_single_failures_are_no_detection() -> None:
    assert seen_by_clients((1, RESET), (2, RESET), (3, OK), (4, RESET), (5, RESET), (6, OK)) == []


def test_ends_count_in_the_order_in_which_they_became_known() -> None:
    ends = [(5, OK), (1, RESET), (3, RESET), (2, RESET)]
    assert seen_by_clients(*ends) == [(3, True), (5, False)]


def test_clients_that_ended_nothing_notice_nothing() -> None:
    assert seen_by_clients() == []


def test_a_log_that_begins_with_failures_is_a_detection_too() -> None:
    assert seen_by_clients((1, RESET), (2, RESET), (3, RESET)) == [(3, True)]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("died", None, ("engine_event", True)),
        ("ended", None, ("engine_event", True)),
        ("stopped", None, ("engine_event", True)),
        ("restarted", None, ("engine_event", False)),
        ("continued", None, ("engine_event", False)),
        ("health", "unhealthy", ("container_health", True)),
        ("health", "healthy", ("container_health", False)),
        ("finished", None, None),
    ],
)
def test_events_of_the_stack_are_observations(
    kind: str, text: str | None, expected: tuple[str, bool] | None
) -> None:
    found = stack_observations([StackEvent(1, kind, "redis", 5, text=text)])
    assert [(one.detector, one.is_down) for one in found] == ([expected] if expected else [])


def test_an_event_of_the_supervisor_itself_is_no_observation() -> None:
    assert stack_observations([StackEvent(1, "crashed", None)]) == []


def opened(at_s: float, is_down: bool, target: str = "redis") -> Observation:
    return Observation(BREAKER, target, round(at_s * S), is_down, "")


@pytest.mark.parametrize(
    ("seen", "open_s"),
    [
        ([], 0),
        ([opened(1, True), opened(4, False)], 3),
        ([opened(1, True), opened(4, False), opened(6, True), opened(7, False)], 4),
        ([opened(1, True)], 9),
        ([opened(1, True), opened(2, True, "postgres"), opened(4, False)], 11),
    ],
)
def test_breakers_are_open_from_opening_to_closing_or_to_the_end(
    seen: list[Observation], open_s: float
) -> None:
    assert open_time_ns(seen, 10 * S) == open_s * S


# --- what a detector could not tell -----------------------------------------------------------------------

LOOKS = [(round(at * S), round((at + 0.01) * S)) for at in (9.5, 10.0, 10.5, 11.0)]


def states(windows: list[Window], *seen: Observation, **blind: Any) -> list[tuple[str, float | None]]:
    """State and time of each fault's detection by the probe."""
    detections, _ = matched(windows, {"probe": seen}, blind)
    return [(one.state, None if one.at_ns is None else one.at_ns / S) for one in detections]


def test_a_detector_in_alarm_when_the_fault_began_is_not_scored_by_its_next_alarm() -> None:
    """In alarm since 9 s; it saw the target back at 10.8 s, and down once more at 11.5 s."""
    detections, alarms = matched([window(0, 10, 12)], {"probe": [down(9), up(10.8), down(11.5)]})
    assert [(one.state, one.at_ns, one.alarm_since_ns) for one in detections] == [("in_alarm", None, 9 * S)]
    assert detections[0].detail == "it was in alarm already, since 1 s before the fault: down"
    assert [one.at_ns for one in alarms] == [9 * S]


def test_an_alarm_that_was_over_before_the_fault_takes_nothing_from_it() -> None:
    assert states([window(0, 10, 12)], down(9), up(9.5), down(10.2)) == [("detected", 10.2)]


def test_the_alarm_of_a_fault_that_is_not_over_leaves_the_next_unknown() -> None:
    faults = [window(0, 10, 11), window(1, 13, 14)]
    assert states(faults, down(10.5)) == [("detected", 10.5), ("in_alarm", None)]
    assert states(faults, down(10.5), up(12), down(13.5)) == [("detected", 10.5), ("detected", 13.5)]


def test_a_detector_in_alarm_about_one_target_can_still_tell_of_another_that_was_hit() -> None:
    hit = window(0, 10, 12, "kill", "redis", "api")
    assert states([hit], down(9, "api"), down(10.4, "redis")) == [("detected", 10.4)]


@pytest.mark.parametrize(
    ("away", "needed", "state"),
    [
        ((10.1, 10.4), 1, "no_look"),
        ((10.1, 10.6), 1, "missed"),
        ((10.1, 10.6), 2, "no_look"),
        ((10.1, 10.505), 1, "no_look"),  # the look was answered when the target was back
        ((9.9, 11.2), 2, "missed"),
    ],
)
def test_a_detector_that_did_not_look_while_the_target_was_away_has_not_missed_it(
    away: tuple[float, float], needed: int, state: str
) -> None:
    hit = replace(window(0, 10, 12), outage=(round(away[0] * S), round(away[1] * S)))
    assert states([hit], probe=too_few_looks(LOOKS, needed)) == [(state, None)]


def test_what_a_detector_could_not_see_is_said_with_how_often_it_looked() -> None:
    hit = replace(window(0, 10, 12), outage=(round(10.1 * S), round(10.6 * S)))
    detections, _ = matched([hit], {"probe": []}, {"probe": too_few_looks(LOOKS, 2)})
    assert detections[0].detail == "it looked 1 times in the 500 ms without answers, and needs 2"


@pytest.mark.parametrize(("failed", "state"), [(0, "no_look"), (2, "no_look"), (3, "missed")])
def test_clients_of_whom_fewer_failed_than_an_alarm_needs_have_not_missed_it(failed: int, state: str) -> None:
    hit = replace(window(0, 10, 12), outage=(10 * S, 11 * S), failed=failed)
    assert states([hit], probe=too_few_failures(3)) == [(state, None)]


@pytest.mark.parametrize(("away_s", "state"), [(1.9, "no_look"), (2.0, "missed")])
def test_a_health_check_cannot_have_seen_what_is_over_before_it_has_failed_often_enough(
    away_s: float, state: str
) -> None:
    hit = replace(window(0, 10, 15), outage=(10 * S, round((10 + away_s) * S)))
    assert states([hit], probe=shorter_than(2 * S)) == [(state, None)]


@pytest.mark.parametrize(
    ("check", "needs_s"),
    [
        ({"Test": ["CMD", "true"], "Interval": S, "Retries": 3}, 2),
        ({"Test": ["CMD", "true"]}, 60),
        ({"Test": ["CMD", "true"], "Interval": 5 * S, "Retries": 1}, 0),
        ({"Test": ["NONE"]}, None),
        (None, None),
    ],
)
def test_how_long_a_health_check_needs_follows_from_its_interval_and_its_retries(
    check: dict[str, Any] | None, needs_s: int | None
) -> None:
    found = Container.read({"Config": {"Healthcheck": check}}).health_check_ns
    assert found == (None if needs_s is None else needs_s * S)
