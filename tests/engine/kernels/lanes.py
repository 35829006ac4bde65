"""Kernels of lanes and turns, called one by one."""

import struct
from collections.abc import Iterator

import numpy as np
import pytest

from bench.core.clock import monotonic_ns
from bench.core.jit import PLAIN
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
from bench.engine.wire.lanes import adopt_lanes, next_free_lane, queue_lane
from bench.engine.wire.replies import on_readable
from bench.engine.wire.shard import Shard, new_queue
from tests.engine.kernels.shards import close, connected, shard_of
from tests.engine.runs import plan_of

assert PLAIN, "run me with NUMBA_DISABLE_JIT=1"


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
