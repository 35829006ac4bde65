"""What an event loop of Python, late itself, may have left unread."""

from bench.engine.client.timing import AFTERWARDS_NS, KEPT, LEAST_NS, LoopLag, unread_ns

MS = 1_000_000


def lag_of(*strokes: tuple[int, ...]) -> LoopLag:
    lag = LoopLag()
    for stroke in strokes:
        lag.struck(*(ms * MS for ms in stroke))
    return lag


def unread_ms(lag: LoopLag, sent: float, done: float, several: bool = False) -> float:
    return unread_ns(lag.stretches(), int(sent * MS), int(done * MS), several) / MS


def test_an_answer_that_is_read_right_after_a_late_stroke_may_have_lain_unread() -> None:
    lag = lag_of((100, 105), (200, 230))
    assert unread_ms(lag, 90, 106) == 5
    assert unread_ms(lag, 103, 105) == 2
    assert unread_ms(lag, 210, 220) == 10
    assert unread_ms(lag, 0, 50) == 0
    assert unread_ms(lag, 240, 400) == 0


def test_an_answer_that_comes_later_was_held_up_by_no_stroke_before() -> None:
    lag = lag_of((100, 105), (200, 230))
    later = 230 + AFTERWARDS_NS / MS + 1
    assert unread_ms(lag, 90, later) == 0
    assert unread_ms(lag, 90, 150) == 0
    assert unread_ms(lag, 90, 231) == 30, "the last one alone"


def test_an_operation_of_several_round_trips_may_have_lost_time_to_each() -> None:
    lag = lag_of((100, 105), (200, 230))
    assert unread_ms(lag, 90, 400, several=True) == 35
    assert unread_ms(lag, 102, 210, several=True) == 3 + 10


def test_strokes_on_time_are_no_lateness() -> None:
    lag = LoopLag()
    lag.struck(0, LEAST_NS - 1)
    assert len(lag.stretches()) == 0


def test_waiting_for_a_processor_between_two_strokes_is_lateness_too() -> None:
    lag = lag_of((10, 10), (20, 20, 6))
    assert unread_ms(lag, 5, 20) == 6
    assert unread_ms(lag, 17, 20) == 3, "no more than the time since the send"
    assert unread_ms(lag_of((10, 10), (20, 20, 1)), 5, 20) == 0


def test_only_the_last_stretches_are_kept() -> None:
    lag = LoopLag()
    for number in range(5 * KEPT):
        lag.struck(10 * number * MS, 10 * number * MS + 3 * MS)
    found = lag.stretches()
    assert KEPT <= len(found) <= 2 * KEPT
    assert unread_ms(lag, 10 * (5 * KEPT - 1), 10 * (5 * KEPT - 1) + 3) == 3
