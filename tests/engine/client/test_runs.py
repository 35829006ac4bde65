"""The client engine against a real server that works."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
import uvloop

from bench.core.histogram import mean_ns, percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire.layout import LOG_RECORD
from bench.plan.plan import Segment
from tests.engine.client.conftest import Server
from tests.helpers.client_runs import client, plan_of, run, run_prepared

BLOCKING = {"wait": {"command": ["BLPOP", "bench:nothing", "0.05"]}}
"""Holds its connection for 50 ms."""


def test_a_steady_run_adds_up(server: Server) -> None:
    ran = run(client(plan_of(phases={"warm": "500ms", "steady": "1s"}, unmeasured=("warm",)), server.target))
    ran.assert_adds_up()
    assert ran.result.taken.tolist() == [100, 200]
    assert ran.outcomes() == {Outcome.OK: 300}
    assert ran.result.counters["connections_created"] == 10
    assert ran.result.counters["leaked_connections"] == 0
    assert ran.result.counters["pool_timeouts"] == 0
    assert ran.result.counters["null_replies"] == 300
    assert ran.result.pool is not None
    assert ran.result.pool["size"] == 10
    assert 0 < ran.result.pool["utilization_mean"] <= ran.result.pool["utilization_max"] <= 1
    assert 0 < ran.result.idle_ratio <= 1
    assert ran.seen[-1].taken == sum(ran.seen[-1].outcomes) == 300
    assert ran.result.anomalies == []
    assert ran.result.errors == []


def test_looks_at_a_run_only_grow(server: Server) -> None:
    ran = run(client(plan_of(), server.target))
    for before, after in zip(ran.seen, ran.seen[1:], strict=False):
        assert after.taken >= before.taken
        assert after.elapsed_ns >= before.elapsed_ns
        assert all(new >= old for old, new in zip(before.outcomes, after.outcomes, strict=True))


def test_response_is_made_of_lag_and_service(server: Server) -> None:
    ran = run(client(plan_of(), server.target))
    ran.assert_times_add_up()


def test_a_closed_loop_keeps_every_lane_busy(server: Server) -> None:
    plan = plan_of(arrivals="closed", rate=None, lanes=5, phases={"one": "500ms", "two": "500ms"})
    ran = run(client(plan, server.target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK}
    assert (ran.result.taken > 0).all()
    assert ran.result.busy_ns is not None
    # On a busy machine what was asked last is answered late, and keeps its lane until then.
    lasted_ns = max(ran.seen[-1].elapsed_ns, 1e9)
    assert 5 * 1e9 * 0.97 <= ran.result.busy_ns <= 5 * lasted_ns * 1.03, "none of the lanes' time is hidden"
    responses = ran.result.taken.sum() * mean_ns(ran.counts("response"))
    assert ran.result.busy_ns == pytest.approx(responses, rel=0.01)


def test_a_pool_smaller_than_the_demand_shows_as_wait_and_full_use(server: Server) -> None:
    ran = run(client(plan_of(pool=2, operations=BLOCKING, keys=None, deadline="400ms"), server.target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.DROPPED}
    assert ran.result.counters["pool_timeouts"] > 0
    assert ran.result.pool is not None
    assert ran.result.pool["utilization_max"] == 1
    assert ran.result.pool["utilization_mean"] > 0.8
    assert percentile_ns(ran.counts("pool_wait"), 90) > 300_000_000
    assert percentile_ns(ran.counts("response", Outcome.DROPPED), 0.1) >= 400_000_000
    assert percentile_ns(ran.counts("late"), 50) < percentile_ns(ran.counts("pool_wait"), 50)
    assert ran.result.counters["leaked_connections"] == 0


def test_a_connection_that_is_not_given_back_is_noticed(server: Server) -> None:
    engine = client(plan_of(), server.target)
    try:
        engine.prepare()
        assert engine._loop is not None
        asyncio.run_coroutine_threadsafe(engine.driver.pool.get_connection(), engine._loop).result(10)  # type: ignore[union-attr]
        ran = run_prepared(engine)
    finally:
        engine.close()
    assert ran.result.counters["leaked_connections"] == 1
    assert ran.outcomes() == {Outcome.OK: 200}
    assert ran.seen[-1].pool_in_use == 1


def test_an_answer_that_is_an_error_is_counted_with_its_text(server: Server) -> None:
    operations = {
        "set": {"command": ["SET", "bench:text", "{seq}"]},
        "push": {"command": ["LPUSH", "bench:text", "{seq}"]},
        "unknown": {"command": ["NOSUCHCOMMAND", "{seq}"], "weight": 0},
    }
    ran = run(client(plan_of(operations=operations, keys=None), server.target))
    ran.assert_adds_up()
    push, failed = ran.result.taken[1], ran.outcomes()[Outcome.ERROR]
    assert 0 < failed <= push
    (error,) = ran.result.errors
    assert error.operation == "push"
    assert error.count == failed
    assert "wrong kind of value" in error.text
    assert percentile_ns(ran.counts("response", Outcome.ERROR), 0.1) >= 5_000_000_000, "charged the deadline"
    assert ran.result.counters["lost_connections"] == 0


def test_several_commands_are_one_arrival_and_one_wrong_answer_fails_it(server: Server) -> None:
    operations = {
        "both": {"commands": [["SET", "{key}", "{value}"], ["GET", "{key}"]]},
        "half": {"commands": [["SET", "{key}", "{value}"], ["LPUSH", "{key}", "x"]]},
    }
    plan = plan_of(operations=operations, value={"bytes": 32})
    ran = run(client(plan, server.target))
    ran.assert_adds_up()
    both, half = ran.result.tallies
    assert both[Outcome.OK] == both.sum() > 0
    assert half[Outcome.ERROR] == half.sum() > 0


def test_the_newer_protocol_works_too(server: Server) -> None:
    ran = run(client(plan_of(resp=3), server.target))
    assert ran.outcomes() == {Outcome.OK: 200}


def test_segments_share_the_arrivals(server: Server) -> None:
    parts = [run(client(plan_of(segment=Segment(number, 2)), server.target)) for number in range(2)]
    assert sum(part.result.taken.sum() for part in parts) == 200


def test_the_operation_log_holds_every_arrival(server: Server, tmp_path: Path) -> None:
    engine = client(plan_of(operation_log=True), server.target, tmp_path)
    ran = run(engine)
    ((path, length),) = engine.raw_logs()
    rows = np.fromfile(path, dtype=LOG_RECORD, count=length)
    assert length == ran.result.taken.sum() == 200
    assert sorted(rows["arrival"]) == list(range(200))
    assert (rows["planned_ns"] <= rows["sent_ns"]).all()
    assert (rows["sent_ns"] < rows["done_ns"]).all()
    assert (rows["outcome"] == Outcome.OK).all()
    assert set(rows["lane"]) <= set(range(10))
    assert set(rows["key"]) <= set(range(100))


def test_a_stop_lets_what_was_sent_be_answered_and_ends_the_rest(server: Server) -> None:
    engine = client(plan_of(pool=2, operations=BLOCKING, keys=None, phases={"long": "60s"}), server.target)
    ran = run(engine, (0.5, lambda: engine.stop(at_once=False)))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.DROPPED}
    assert 100 <= ran.result.taken.sum() < 6000
    assert ran.result.counters["pool_timeouts"] == 0
    assert ran.result.counters["leaked_connections"] == 0


def test_a_closed_loop_stops_too(server: Server) -> None:
    plan = plan_of(arrivals="closed", rate=None, lanes=5, phases={"long": "60s"})
    engine = client(plan, server.target)
    ran = run(engine, (0.3, lambda: engine.stop(at_once=True)))
    ran.assert_adds_up()
    assert ran.outcomes()[Outcome.OK] > 0


def test_an_engine_closed_in_the_middle_leaves_no_thread(server: Server) -> None:
    engine = client(plan_of(phases={"long": "60s"}), server.target)
    engine.prepare()
    engine.begin(0)
    engine.close()
    engine.close()
    assert not engine.is_running()


def test_a_run_ends_though_its_loop_is_not_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    may_close = threading.Event()

    class NeverClosed(uvloop.Loop):
        def close(self) -> None:
            may_close.wait()
            super().close()

    monkeypatch.setattr(uvloop, "new_event_loop", NeverClosed)
    monkeypatch.setattr("bench.engine.client.engine.ENDING_S", 0.1)
    monkeypatch.setattr("bench.engine.client.engine.CLOSING_S", 0.4)
    try:
        ran = run(client(plan_of(phases={"short": "300ms"}), server.target))
        ran.assert_adds_up()
        assert ran.outcomes() == {Outcome.OK: 60}
    finally:
        may_close.set()
