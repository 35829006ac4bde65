"""The client engine's small parts by themselves."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.engine.client.pool import CURRENT, LATE_NS, PendingRequest, PoolMonitor, PoolUse, RunClock
from bench.engine.client.timing import PreciseTimer, calm, uncalm
from bench.plan.walk import PlanWalk, first_arrivals
from tests.helpers.client_runs import plan_of


def test_use_is_weighted_by_time_and_only_measured_time_counts() -> None:
    use = PoolUse(10, [(100, 200), (300, 400)])
    use.change(0, 4)
    use.change(150, 4)
    use.change(250, -6)
    use.change(350, -2)
    use.account(1000)
    figures = use.figures()
    assert figures["utilization_mean"] == pytest.approx((50 * 4 + 50 * 8 + 50 * 2) / 200 / 10)
    assert figures["utilization_max"] == 0.8


def test_use_before_and_after_the_measured_time_does_not_count() -> None:
    use = PoolUse(10, [(100, 200)])
    use.change(-500, 9)
    use.change(-400, -9)
    use.change(50, 9)
    use.change(60, -9)
    use.change(250, 10)
    use.account(300)
    assert use.figures() == {
        "size": 10,
        "utilization_max": 0.0,
        "utilization_max_on_time": 0.0,
        "utilization_mean": 0.0,
    }


def test_what_arrivals_hold_that_the_generator_began_late_is_left_out_of_the_use_on_time() -> None:
    """Two on time, then eight at once after the generator stood still, then one more on time."""
    clock = RunClock()
    clock.start_ns = monotonic_ns()
    watch = PoolMonitor(10, [(0, 3600 * NS_PER_S)], clock)
    tickets = [PendingRequest(0, 0, 0, 0, number) for number in range(11)]

    def acquire(ticket: PendingRequest) -> None:
        CURRENT.set(ticket)
        watch.on_acquired()

    for number, ticket in enumerate(tickets):
        ticket.late_ns = LATE_NS if 2 <= number < 10 else LATE_NS - 1
        contextvars.copy_context().run(acquire, ticket)
        if number == 9:
            watch.on_returned()
            watch.on_ended(tickets[2])
    figures = watch.use.figures()
    assert figures["utilization_max"] == 1.0
    assert figures["utilization_max_on_time"] == 0.3
    assert watch.use.in_late_use == 7


def test_the_time_of_the_highest_use_is_that_of_its_first_moment() -> None:
    use = PoolUse(10, [(100, 200)])
    use.change(50, 3)
    use.change(120, 5)
    use.change(130, -5)
    use.change(140, 5)
    assert use.figures()["utilization_max_ns"] == 120
    held = PoolUse(10, [(100, 200)])
    held.change(50, 3)
    held.account(150)
    assert held.figures()["utilization_max_ns"] == 100, "held since before the measured time"


def test_a_run_without_measured_time_has_no_use() -> None:
    assert PoolUse(5, [(0, 10)]).figures()["utilization_mean"] == 0.0


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([-1, 0, 1])), max_size=40))
def test_use_equals_a_count_nanosecond_by_nanosecond(steps: list[tuple[int, int]]) -> None:
    measured = [(50, 150), (150, 170), (400, 700)]
    use = PoolUse(3, measured)
    now = level = 0
    levels = []
    for wait, by in steps:
        by = max(by, -level)
        levels += [level] * wait
        now += wait
        level += by
        use.change(now, by)
    inside = [value for at, value in enumerate(levels) if any(start <= at < end for start, end in measured)]
    figures = use.figures()
    assert figures["utilization_mean"] == pytest.approx(np.mean(inside) / 3 if inside else 0.0)
    assert figures["utilization_max"] >= max(inside, default=0) / 3


@pytest.mark.parametrize("arrivals", ["constant", "poisson", "closed"])
def test_a_walk_in_chunks_is_the_walk_in_one(arrivals: str) -> None:
    plan = plan_of(arrivals=arrivals, rate=None if arrivals == "closed" else "200/s").workloads[0]
    whole = first_arrivals(plan, 3, 300).rows()
    walk = PlanWalk(plan, 3)
    pieces = [row for size in (1, 99, 0, 150, 50) for row in walk.next_chunk(size).rows()]
    assert pieces == whole


def test_shards_walk_the_whole_plan_between_them() -> None:
    plan = plan_of(arrivals="poisson").workloads[0]
    walks = [PlanWalk(plan, 3, shard, 3) for shard in range(3)]
    rows = [row for walk in walks for row in walk.next_chunk(10_000).rows()]
    assert sorted(rows) == first_arrivals(plan, 3, 10_000).rows()
    assert all(len(walk.next_chunk(10)) == 0 for walk in walks), "an ended plan stays ended"


def test_an_alarm_rings_at_its_time_once_and_at_once_for_the_past() -> None:
    async def rings() -> list[int]:
        rung: asyncio.Queue[int] = asyncio.Queue()
        alarm = PreciseTimer(asyncio.get_running_loop(), lambda: rung.put_nowait(monotonic_ns()))
        wanted = monotonic_ns() + 3_000_000
        alarm.set(monotonic_ns() + 60_000_000_000)
        alarm.set(wanted)
        late = [await asyncio.wait_for(rung.get(), 30) - wanted]
        alarm.set(0)
        late.append(await asyncio.wait_for(rung.get(), 30))
        alarm.close()
        alarm.close()
        assert rung.empty()
        return late

    first, _ = asyncio.run(rings())
    assert first >= 0


def test_the_interpreter_is_as_before_when_the_last_engine_has_ended(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    usual, unfrozen = 0.005, []
    monkeypatch.setattr(gc, "unfreeze", lambda: unfrozen.append(True))
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(usual)
    calm()
    calm()
    assert sys.getswitchinterval() < usual
    uncalm()
    assert sys.getswitchinterval() < usual
    assert not unfrozen
    uncalm()
    assert sys.getswitchinterval() == pytest.approx(usual)
    assert unfrozen == [True]
