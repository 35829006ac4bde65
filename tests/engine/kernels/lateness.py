"""Kernels of lateness, called one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.jit import PLAIN
from bench.engine.wire import layout
from bench.engine.wire.arrivals import (
    start_plan,
)
from bench.engine.wire.lanes import adopt_lanes, fill_lane, next_free_lane
from bench.engine.wire.lateness import (
    end_stall,
    free_from,
    note_answered,
    note_gap,
    note_sent,
    owed_unsent,
    unread_by_stall,
)
from tests.engine.kernels.shards import close, connected, shard_of

assert PLAIN, "run me with NUMBA_DISABLE_JIT=1"


def test_lateness_counts_from_when_any_lane_was_free() -> None:
    """A lane that was just answered sends an arrival for which another lane had been free all along."""
    shard = shard_of(lanes=2, rate="1000/s")
    tables = shard.tables
    far_ends = connected(shard)
    try:
        tables.control[layout.START_NS] = 0
        with np.errstate(over="ignore"):
            start_plan(tables.settings, tables.pacing, tables.state, tables.places)
            adopt_lanes(tables, 100)
            assert next_free_lane(tables) == 0
            tables.flights[0, 0, layout.IDEAL_FREE] = 900_000
            assert fill_lane(tables, 0, 900_000) == 1
        flight = tables.flights[0, 0]
        assert flight[layout.IDEAL] == flight[layout.PLANNED] == 500_000
        assert tables.flights[1, 0, layout.IDEAL_FREE] == 900_000
    finally:
        close(shard, far_ends)


def test_lateness_of_the_only_lane_counts_from_when_it_became_free() -> None:
    shard = shard_of(lanes=1, rate="1000/s")
    tables = shard.tables
    far_ends = connected(shard)
    try:
        tables.control[layout.START_NS] = 0
        with np.errstate(over="ignore"):
            start_plan(tables.settings, tables.pacing, tables.state, tables.places)
            adopt_lanes(tables, 100)
            assert next_free_lane(tables) == 0
            tables.flights[0, 0, layout.IDEAL_FREE] = 900_000
            assert fill_lane(tables, 0, 900_000) == 1
        flight = tables.flights[0, 0]
        assert flight[layout.IDEAL] == 900_000
    finally:
        close(shard, far_ends)


MS = 1_000_000


class Queue:
    """Lanes against a server of a fixed service time, and a generator that stands still now and then.

    It keeps the books of bench.engine.wire.lateness and nothing else of the loop.
    """

    def __init__(self, lanes: int, service: int, deadline: str = "3600s") -> None:
        self.shard = shard_of(lanes=lanes, deadline=deadline)
        self.tables = self.shard.tables
        self.tables.lanes[:, layout.FD] = 0
        self.service = service
        self.free = [0] * lanes
        self.net: list[int] = []
        self.response: list[int] = []
        for lane in range(lanes):
            free_from(self.tables, lane, 0)

    def close(self) -> None:
        self.tables.lanes[:, layout.FD] = -1
        self.shard.close()

    def arrive(self, planned: int, not_before: int = 0) -> None:
        """An arrival, sent by the lane that is free first, but not before the generator runs again."""
        deadline = int(self.tables.settings[layout.DEADLINE_NS])
        lane = min(range(len(self.free)), key=lambda number: self.free[number])
        sent = max(planned, self.free[lane], not_before)
        if sent - planned >= deadline:
            now = planned + deadline
            busy = [number for number in range(len(self.free)) if self.free[number] > now]
            self.tables.lanes[:, layout.COUNT] = 0
            self.tables.lanes[busy, layout.COUNT] = 1
            self.response.append(deadline)
            self.net.append(deadline - owed_unsent(self.tables, planned, now, 0))
            return
        slot = self.tables.flights[lane, 0]
        slot[layout.PLANNED], slot[layout.SENT] = planned, sent
        note_sent(self.tables, slot, planned, sent)
        done = self.free[lane] = sent + self.service
        self.response.append(done - planned)
        self.net.append(done - planned - (sent - int(slot[layout.IDEAL])))
        note_answered(self.tables, lane, slot, done)


def lindley(gaps: list[int], service: int) -> list[int]:
    """Response times of one lane whose generator is never late."""
    found, planned, free = [], 0, 0
    for gap in gaps:
        planned += gap
        free = max(planned, free) + service
        found.append(free - planned)
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 3 * MS), min_size=1, max_size=60),
    st.lists(st.integers(0, 40 * MS), max_size=5),
    st.integers(1, 3 * MS),
)
def test_net_of_one_lane_is_what_a_generator_that_is_never_late_would_have_seen(
    gaps: list[int], stalls: list[int], service: int
) -> None:
    queue = Queue(1, service)
    try:
        planned = 0
        for number, gap in enumerate(gaps):
            planned += gap
            stalled = planned + stalls[number // 12] if number % 12 == 0 and number // 12 < len(stalls) else 0
            queue.arrive(planned, not_before=stalled)
        assert queue.net == lindley(gaps, service)
        assert all(net <= response for net, response in zip(queue.net, queue.response, strict=True))
    finally:
        queue.close()


def test_an_overloaded_target_keeps_its_own_delay_whatever_the_stalls() -> None:
    """3 lanes of 10 ms get 330/s for 50 s; every 100 ms the generator stands still for 5 ms."""
    queue = Queue(3, 10 * MS, deadline="2s")
    try:
        planned = 0
        while planned < 50_000 * MS:
            planned += MS * 1000 // 330
            sent = max(planned, min(queue.free))
            queue.arrive(planned, not_before=sent - sent % (100 * MS) + 5 * MS)
        settled = len(queue.net) // 2
        assert min(queue.response[settled:]) > 1_900 * MS, "overloaded by a tenth"
        assert min(queue.net[settled:]) > 1_800 * MS
    finally:
        queue.close()


def test_what_was_dropped_because_the_generator_stood_still_is_owed_to_it() -> None:
    queue = Queue(4, MS, deadline="50ms")
    try:
        for number in range(100):
            queue.arrive(number * MS, not_before=0)
        for number in range(100, 200):
            queue.arrive(number * MS, not_before=300 * MS)
        assert queue.response[100:200].count(50 * MS) == 100, "all of them dropped"
        assert max(queue.net) <= 2 * MS
    finally:
        queue.close()


def test_answers_lie_unread_only_until_the_turn_that_ends_the_stall() -> None:
    shard = shard_of()
    try:
        state, gauges = shard.tables.state, shard.tables.gauges
        note_gap(state, gauges, 5 * MS, 13 * MS)
        assert unread_by_stall(state, 0) == 8 * MS
        assert unread_by_stall(state, 9 * MS) == 4 * MS
        assert unread_by_stall(state, 14 * MS) == 0
        end_stall(state, 13 * MS)  # all that was ready then has been read
        assert unread_by_stall(state, 0) == 0, "an answer that comes later was not held up"
        for number in range(5):
            note_gap(state, gauges, (10 + 20 * number) * MS, (20 + 20 * number) * MS)
            if number < 4:
                end_stall(state, (20 + 20 * number) * MS)
        assert unread_by_stall(state, 0) == 10 * MS, "the last one alone"
    finally:
        shard.close()


def test_stalls_in_one_turn_are_one() -> None:
    """Nothing was read in between, so nothing came of it that was on time."""
    shard = shard_of()
    try:
        state, gauges = shard.tables.state, shard.tables.gauges
        note_gap(state, gauges, 5 * MS, 13 * MS)
        note_gap(state, gauges, 14 * MS, 20 * MS)
        assert unread_by_stall(state, 0) == 15 * MS
        end_stall(state, 13 * MS)
        assert unread_by_stall(state, 0) == 15 * MS, "the second one came after that look"
        end_stall(state, 20 * MS)
        assert unread_by_stall(state, 0) == 0
    finally:
        shard.close()
