"""Kernels called one by one, as plain Python: test_kernels.py runs this file with the JIT off."""

import random
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.clock import monotonic_ns
from bench.core.jit import PLAIN
from bench.core.outcome import Outcome
from bench.engine.wire import layout
from bench.engine.wire.arrivals import (
    PATIENCE_NS,
    catch_up,
    is_left_to_another,
    is_mine,
    may_take,
    publish,
    start_plan,
    take_head,
)
from bench.engine.wire.engine import share_of
from bench.engine.wire.lanes import adopt_lanes, fill_lane, next_free_lane, queue_lane
from bench.engine.wire.lateness import (
    end_stall,
    free_from,
    note_answered,
    note_gap,
    note_sent,
    owed_unsent,
    unread_by_stall,
)
from bench.engine.wire.messages import missing_messages, unseen
from bench.engine.wire.replies import on_readable
from bench.engine.wire.shard import Shard, new_queue
from bench.engine.wire.subscriber import HEAD_DIGITS, WINDOW, check_off, on_message
from tests.engine.runs import plan_of

assert PLAIN, "run me with NUMBA_DISABLE_JIT=1"

PUBSUB = {"driver": "redis_pubsub", "channels": 2, "subscribers": 3, "value": {"bytes": 64}}


def shard_of(**workload: object) -> Shard:
    plan = plan_of(**workload)
    given = plan.workloads[0]
    lanes, subscribers = given.workload.lanes, given.workload.subscribers or 0
    return Shard(given, duration_ns=plan.duration_ns, number=0, count=1, lanes=lanes, subscribers=subscribers)


class NaiveSubscriber:
    """What a subscriber must conclude from the numbers that came, with sets."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.duplicates = self.reordered = 0
        self.given_up: set[int] = set()
        self.highest = -1

    def see(self, number: int) -> bool:
        is_new_head = number > self.highest
        if is_new_head:
            for left in range(max(self.highest + 1 - WINDOW, 0), number + 1 - WINDOW):
                if left not in self.seen:
                    self.given_up.add(left)
            self.highest = number
        elif number > self.highest - WINDOW and number in self.seen:
            self.duplicates += 1
            return False
        else:
            self.reordered += 1
        if number > self.highest - WINDOW:
            self.seen.add(number)
        return True

    def missing(self, published: int) -> set[int]:
        recent = range(max(self.highest + 1 - WINDOW, 0), published)
        return self.given_up | {number for number in recent if number not in self.seen}


def compare(numbers: list[int]) -> None:
    shard = shard_of(**PUBSUB)
    try:
        naive = NaiveSubscriber()
        tables = shard.tables
        for number in numbers:
            assert check_off(tables, 2, 1, 1, number) == naive.see(number)
        assert shard.gauge(layout.DUPLICATES) == naive.duplicates
        assert shard.gauge(layout.REORDERED) == naive.reordered
        published = max(numbers, default=-1) + 3
        tables.sequences[1, 1] = published
        listed = {int(row[3]) for row in missing_messages(shard) if tuple(row[:3]) == (2, 1, 1)}
        assert listed == naive.missing(published)
        assert shard.gauge(layout.MISSING_FULL) == 0
    finally:
        shard.close()


STEPS = st.lists(
    st.one_of(
        st.integers(1, 3), st.integers(-5, 5), st.integers(-WINDOW - 3, WINDOW + 3), st.integers(-3000, 3000)
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_subscriber_checks_off_as_a_naive_one_with_sets(steps: list[int]) -> None:
    at, numbers = 0, []
    for step in steps:
        at = max(at + step, 0)
        numbers.append(at)
    compare(numbers)


@pytest.mark.parametrize("distance", [1, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW])
def test_gaps_and_late_comers_around_the_window_are_told_apart(distance: int) -> None:
    compare([0, distance, 1, distance, 0, distance + 1])


def test_a_shuffled_stream_loses_nothing() -> None:
    numbers = list(range(5000))
    mixed = sorted(numbers, key=lambda n: n + random.Random(n).randrange(WINDOW - 1))
    compare(mixed)
    compare([number for number in mixed if number % 7])
    compare(mixed + mixed[-WINDOW:])


def test_nothing_published_is_nothing_missing() -> None:
    assert unseen(np.zeros(33 + 1, dtype=np.int64), 0).size == 0
    assert unseen(np.zeros(33 + 1, dtype=np.int64), 3).tolist() == [0, 1, 2]


def message(publisher: int, channel: int, sequence: int, planned: int) -> bytes:
    return b"%05d%05d%012d%018d" % (publisher, channel, sequence, planned)


@pytest.mark.parametrize(
    "text",
    [
        message(4, 0, 0, 0),
        message(0, 2, 0, 0),
        message(0, 0, 5, 0),
        message(0, 0, 999_999_999_999, 0),
        message(0, 0, 0, 10**10),
        b"hello" * 10,
        message(0, 0, 0, 0)[:-1],
    ],
)
def test_a_message_that_cannot_be_ours_is_a_stray_one(text: bytes) -> None:
    shard = shard_of(**PUBSUB)
    try:
        tables = shard.tables
        tables.sequences[:] = 5
        lane = tables.settings[layout.LANES]
        tables.texts[lane, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        on_message(tables, lane, len(text), 1000)
        assert shard.gauge(layout.STRAY_MESSAGES) == 1
        assert shard.gauge(layout.DELIVERED) == 0
        assert not tables.seen.any()
    finally:
        shard.close()


def test_a_message_is_timed_from_its_planned_publish() -> None:
    shard = shard_of(**PUBSUB)
    try:
        tables = shard.tables
        tables.sequences[:] = 5
        text = message(0, 1, 4, 1_000_000)
        assert len(text) == HEAD_DIGITS
        lane = tables.settings[layout.LANES]
        tables.texts[lane, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        on_message(tables, lane, len(text), 1_000_500)
        assert tables.counts[1, layout.RESPONSE, Outcome.OK, 500] == 1
        assert shard.gauge(layout.DELIVERED) == 1
    finally:
        shard.close()


def connected(shard: Shard) -> list[socket.socket]:
    """Every lane with a socket; returns the far ends."""
    far_ends = []
    for lane in range(shard.lanes):
        near, far = socket.socketpair()
        near.setblocking(False)
        shard.offer(lane, near.detach())
        far_ends.append(far)
    return far_ends


def close(shard: Shard, far_ends: list[socket.socket]) -> None:
    for lane in range(shard.lanes):
        socket.socket(fileno=int(shard.tables.lanes[lane, layout.FD])).close()
    for far in far_ends:
        far.close()
    shard.close()


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
            self.net.append(deadline - owed_unsent(self.tables, planned, now))
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


def test_nothing_is_sent_to_a_server_that_has_taken_leave() -> None:
    """PostgreSQL ends an idle connection with an error, and closes it a little later."""
    shard = shard_of(
        driver="postgres",
        target="postgres",
        lanes=1,
        rate="1000/s",
        operations={"ask": {"sql": "SELECT 1"}},
    )
    tables = shard.tables
    far_ends = connected(shard)
    try:
        tables.control[layout.START_NS] = monotonic_ns() - 10**9  # arrivals are due
        with np.errstate(over="ignore"):
            start_plan(tables.settings, tables.pacing, tables.state, tables.places)
            adopt_lanes(tables, 0)
            fields = b"SFATAL\0C57P01\0Mterminating connection\0\0"
            far_ends[0].sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            on_readable(tables, 0, monotonic_ns() - int(tables.control[layout.START_NS]))
        assert far_ends[0].recv(100) == b""
        assert tables.lanes[0, layout.FD] == -1
        assert shard.gauge(layout.LOST_CONNECTIONS) == 1
        assert shard.gauge(layout.IN_FLIGHT) == 0
    finally:
        far_ends[0].close()
        shard.close()


def test_free_lanes_are_used_in_the_order_in_which_they_became_free() -> None:
    shard = shard_of(lanes=4)
    far_ends = connected(shard)
    try:
        tables = shard.tables
        adopt_lanes(tables, 0)
        for lane in (2, 2, 1):
            queue_lane(tables, lane)  # already in the ring: once is enough
        assert [next_free_lane(tables) for _ in range(5)] == [0, 1, 2, 3, -1]
        for lane in (3, 1, 3, 0):
            queue_lane(tables, lane)
        assert [next_free_lane(tables) for _ in range(4)] == [3, 1, 0, -1]
    finally:
        close(shard, far_ends)


@pytest.fixture
def pair() -> Iterator[list[Shard]]:
    """Two threads with three lanes between them and one queue; arrivals each 10 ms, from 5 ms on."""
    plan = plan_of(lanes=3, rate="100/s")
    queue = new_queue(2)
    shards = [
        Shard(
            plan.workloads[0],
            duration_ns=plan.duration_ns,
            lanes=lanes,
            thread=thread,
            threads=2,
            queue=queue,
        )
        for thread, lanes in enumerate((2, 1))
    ]
    far_ends = [far for shard in shards for far in connected(shard)]
    with np.errstate(over="ignore"):
        for shard in shards:
            tables = shard.tables
            start_plan(tables.settings, tables.pacing, tables.state, tables.places)
            adopt_lanes(tables, 0)
            publish(tables)
        yield shards
    for shard in shards:
        close(shard, [])
    for far in far_ends:
        far.close()


def test_an_arrival_is_left_to_the_thread_whose_turn_it_is_while_that_has_a_free_lane(
    pair: list[Shard],
) -> None:
    first, second = (shard.tables for shard in pair)
    due = 5_000_000
    assert not may_take(first, due - 1)
    assert may_take(first, due)
    assert is_left_to_another(second, due)
    assert not may_take(second, due)
    assert may_take(second, due + PATIENCE_NS), "the other is held up"
    while next_free_lane(first) >= 0:
        pass
    publish(first)
    assert may_take(second, due), "the other has no free lane"


def test_what_one_thread_has_taken_is_gone_for_the_other(pair: list[Shard]) -> None:
    first, second = (shard.tables for shard in pair)
    assert take_head(first, 5_000_000)
    assert not take_head(second, 5_000_000)
    assert second.state[layout.NEXT_INDEX] == 1
    assert second.state[layout.NEXT_PLANNED] == 15_000_000
    assert take_head(second, 15_000_000)
    catch_up(first)
    assert first.state[layout.NEXT_INDEX] == 2
    assert [int(one.waiting[0, layout.ARRIVAL]) for one in (first, second)] == [0, 1]
    assert [int(one.gauges[layout.TAKEN]) for one in (first, second)] == [1, 1]


def test_both_threads_come_to_the_end_of_the_plan(pair: list[Shard]) -> None:
    first, second = (shard.tables for shard in pair)
    for number in range(100):
        taker = (first, second)[number % 2]
        catch_up(taker)
        assert take_head(taker, 10**9)
        taker.state[layout.WAITING] = 0
    for tables in (first, second):
        catch_up(tables)
        assert tables.state[layout.PLAN_ENDED] == 1


@pytest.mark.parametrize(("lanes", "threads"), [(3, 2), (50, 4), (7, 7), (5, 1)])
def test_turns_are_dealt_to_threads_by_their_lanes(lanes: int, threads: int) -> None:
    turns = np.zeros(threads)
    for thread in range(threads):
        for other in range(lanes):
            settings_row = np.zeros(layout.SETTING_COLUMNS, dtype=np.int64)
            settings_row[layout.LANES_IN_ALL], settings_row[layout.SEGMENTS] = lanes, 1
            settings_row[layout.THREAD], settings_row[layout.THREADS] = thread, threads
            turns[thread] += is_mine(settings_row, other)
    assert turns.tolist() == [share_of(lanes, threads, thread) for thread in range(threads)]
