"""The client engine against a server that stalls, dies and comes back."""

from __future__ import annotations

import ctypes

from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from bench.engine.client.load import LEAST_TASKS
from tests.engine.client.conftest import Server
from tests.helpers.client_runs import client, plan_of, run

DEADLINE_NS = 300_000_000


def test_a_stalled_server_shows_in_the_response_and_hardly_in_the_service(server: Server) -> None:
    engine = client(plan_of(deadline="60s", phases={"steady": "2s"}), server.target)
    ran = run(engine, (0.3, server.freeze), (1.6, server.thaw))
    ran.assert_adds_up()
    assert ran.outcomes() == {Outcome.OK: 400}
    assert percentile_ns(ran.counts("response"), 99) > 1_000_000_000
    assert percentile_ns(ran.counts("pool_wait"), 99) > 1_000_000_000
    # Ten connections were waiting for an answer; all other arrivals waited for a connection.
    assert percentile_ns(ran.counts("service"), 95) < percentile_ns(ran.counts("response"), 80)
    assert ran.result.pool is not None
    assert ran.result.pool["utilization_max"] == 1
    assert ran.result.counters["leaked_connections"] == 0


def test_a_pool_that_fills_because_the_generator_stood_still_was_not_full_by_itself(server: Server) -> None:
    """It holds on to the interpreter for 0.6 s, in which 120 arrivals become due at once."""
    hold_the_interpreter = ctypes.PyDLL(None).usleep
    engine = client(plan_of(pool=50, phases={"steady": "1500ms"}), server.target)
    ran = run(engine, (0.3, lambda: hold_the_interpreter(600_000)))
    ran.assert_adds_up()
    assert ran.result.pool is not None
    assert ran.result.pool["utilization_max"] == 1
    assert ran.result.pool["utilization_max_on_time"] < 1
    assert 0.3e9 < ran.result.pool["utilization_max_ns"] < 2e9


def test_what_is_not_answered_in_time_ends_as_timeout_and_is_charged(server: Server) -> None:
    engine = client(plan_of(deadline="300ms", phases={"steady": "2s"}), server.target)
    ran = run(engine, (0.3, server.freeze), (1.2, server.thaw))
    ran.assert_adds_up()
    found = ran.outcomes()
    assert sum(found.values()) == 400
    assert found[Outcome.TIMEOUT] >= 10, "all that was in flight"
    assert found.get(Outcome.DROPPED, 0) + found.get(Outcome.REFUSED, 0) > 0
    assert found[Outcome.OK] > 100, "after it went on, too"
    for outcome in found.keys() - {Outcome.OK}:
        assert percentile_ns(ran.counts("response", outcome), 0.1) >= DEADLINE_NS
    assert any("imeout" in error.text for error in ran.result.errors)
    assert ran.result.counters["reconnects"] > 0
    assert ran.result.counters["leaked_connections"] == 0


def test_a_killed_server_is_named_in_the_outcomes_and_the_run_goes_on(server: Server) -> None:
    plan = plan_of(deadline="1s", phases={"before": "500ms", "during": "1s", "after": "60s"})
    # As soon as it is back, whenever that is on a busy machine.
    back = lambda second, live: second > 2.5 and live.connected == 10  # noqa: E731 - one condition
    ran = run(client(plan, server.target), (0.8, server.kill), until=back)
    ran.assert_adds_up()
    found = ran.outcomes()
    assert sum(found.values()) >= 450
    assert found[Outcome.REFUSED] > 0
    assert set(found) <= {Outcome.OK, Outcome.REFUSED, Outcome.RESET, Outcome.DROPPED, Outcome.ERROR}
    before, _, after = ran.result.tallies
    assert before[Outcome.OK] == 100
    assert after[Outcome.OK] > 0, "back before the end"
    assert ran.result.counters["reconnects"] > 0
    assert ran.result.counters["lost_connections"] >= ran.result.counters["reconnects"]
    assert ran.result.counters["connections_created"] == 10 + ran.result.counters["reconnects"]
    assert ran.result.counters["leaked_connections"] == 0
    assert {event["kind"] for event in ran.events} == {"reconnected"}
    assert all(event["away_ns"] >= 0 and event["attempts"] >= 1 for event in ran.events)
    assert any("onnect" in error.text for error in ran.result.errors)


def test_arrivals_beyond_the_limit_of_tasks_wait_in_the_plan(server: Server) -> None:
    engine = client(plan_of(deadline="1s", phases={"steady": "4s"}), server.target)
    ran = run(engine, (0.3, server.freeze), (1.9, server.thaw))
    ran.assert_adds_up()
    found = ran.outcomes()
    assert sum(found.values()) == 800
    assert found[Outcome.DROPPED] > 50
    assert found[Outcome.OK] > 100
    assert max(look.taken - sum(look.outcomes) for look in ran.seen) <= LEAST_TASKS + 1
    ran.assert_times_add_up(Outcome.OK)
    assert percentile_ns(ran.counts("pool_wait", Outcome.DROPPED), 50) > 900_000_000


def test_a_closed_loop_does_not_storm_a_server_that_is_away(server: Server) -> None:
    plan = plan_of(arrivals="closed", rate=None, lanes=5, phases={"steady": "1500ms"})
    ran = run(client(plan, server.target), (0.4, server.kill))
    ran.assert_adds_up()
    assert ran.outcomes()[Outcome.OK] > 0
    assert ran.outcomes().get(Outcome.REFUSED, 0) <= 5 * 150, "each lane rests 10 ms after a refusal"


def test_a_stop_at_once_does_not_wait_for_a_server_that_says_nothing(server: Server) -> None:
    engine = client(plan_of(deadline="60s", phases={"long": "60s"}), server.target)
    try:
        ran = run(engine, (0.2, server.freeze), (0.6, lambda: engine.stop(at_once=True)))
    finally:
        server.thaw()
    ran.assert_adds_up()
    assert ran.outcomes()[Outcome.RESET] == 10
    assert ran.outcomes()[Outcome.DROPPED] > 0
