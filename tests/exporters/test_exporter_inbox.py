"""What is not taken in time is added up; bounds of a few buckets keep the counts exact."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.clock import WallLabel
from bench.core.histogram import HIGHEST_NS, bucket_of, empty, upper_edge_ns
from bench.core.messages import Event
from bench.exporters.families import families
from bench.exporters.figures import BOUNDS_NS, MOST_EVENTS, STEPS_NS, CoalescingBuffer, Distribution, Figures
from tests.exporters.seen_runs import RECORD, show, view_of

ZERO = WallLabel(0, 0)


def samples_of(figures: Figures) -> int:
    assert figures.run is not None
    return sum(one.samples for one in figures.run.distributions.values())


def test_windows_that_nobody_takes_are_added_up_to_one() -> None:
    inbox = CoalescingBuffer()
    inbox.started(RECORD, ZERO)
    for number in range(100):
        inbox.window(view_of(number, 1_000, 5_000))
    batches = inbox.take()
    assert len(batches) == 2
    assert len(batches[-1].gains) == 1
    figures = Figures()
    figures.take(batches)
    assert samples_of(figures) == 200
    assert figures.run is not None
    assert figures.run.planned == {"cache": 200}
    assert figures.run.answers == {("cache", "hits"): 200, ("cache", "misses"): 200}
    (answers,) = [family for family in families(figures) if family.name == "holdfast_answers"]
    assert [(labels["answer"], count) for labels, count in answers.samples] == [
        ("hits", 200),
        ("misses", 200),
    ]


def test_taking_in_parts_or_at_once_comes_to_the_same() -> None:
    at_once, in_parts = CoalescingBuffer(), CoalescingBuffer()
    whole, parts = Figures(), Figures()
    for inbox in (at_once, in_parts):
        inbox.started(RECORD, ZERO)
    for number in range(10):
        at_once.window(view_of(number, number * 1_000))
        in_parts.window(view_of(number, number * 1_000))
        parts.take(in_parts.take())
    whole.take(at_once.take())
    assert whole.run is not None
    assert parts.run is not None
    ((tag, one),) = whole.run.distributions.items()
    assert one.counts.tolist() == parts.run.distributions[tag].counts.tolist()


def test_the_window_that_was_handed_over_is_not_written_to() -> None:
    inbox, first = CoalescingBuffer(), view_of(0, 1_000)
    inbox.started(RECORD, ZERO)
    inbox.window(first)
    inbox.window(view_of(1, 1_000))
    assert first.gains[0][1].sum() == 1


def test_another_run_begins_at_nothing_and_the_verdict_of_the_first_stays() -> None:
    inbox, figures = CoalescingBuffer(), Figures()
    show(inbox)
    inbox.started(
        RECORD.model_copy(update={"scenario": RECORD.scenario.model_copy(update={"name": "other"})}), ZERO
    )
    inbox.window(view_of(0, 1_000))
    figures.take(inbox.take())
    assert samples_of(figures) == 1
    assert list(figures.verdicts) == ["made_up"]


def test_more_events_than_there_is_room_for_are_counted() -> None:
    inbox, figures = CoalescingBuffer(), Figures()
    inbox.started(RECORD, ZERO)
    for number in range(MOST_EVENTS + 5):
        inbox.event(Event(at_ns=number, kind="reconnected"))
    figures.take(inbox.take())
    assert figures.run is not None
    assert figures.run.events["reconnected"] == MOST_EVENTS
    assert figures.run.events_lost == 5


@settings(deadline=None)  # the first example makes a table
@given(st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=50))
def test_the_count_at_every_bound_is_that_of_the_samples_not_beyond_it(times_ns: list[int]) -> None:
    counts = empty()
    for time_ns in times_ns:
        counts[bucket_of(time_ns)] += 1
    distribution = Distribution.empty()
    distribution.add(counts)
    cumulative = np.cumsum(distribution.counts).tolist()
    assert cumulative[:-1] == [sum(one <= bound for one in times_ns) for bound in BOUNDS_NS]
    assert cumulative[-1] == len(times_ns) == distribution.samples
    assert abs(distribution.sum_ns - sum(times_ns)) <= sum(times_ns) / 2048 + 1
    assert distribution.highest_ns == upper_edge_ns(bucket_of(max(times_ns)))


def test_bounds_lie_at_most_a_1024th_above_their_steps() -> None:
    for step, bound in zip(STEPS_NS, BOUNDS_NS, strict=True):
        assert step <= bound <= step * (1 + 1 / 1024)
