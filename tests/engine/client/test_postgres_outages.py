"""The client engine against a Postgres that stalls, dies and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from bench.plan.plan import Plan
from tests.engine.client.conftest import PostgresServer
from tests.helpers.client_runs import client, plan_of, run


def plan_for(**workload: Any) -> Plan:
    """Half of the arrivals transactions, half single statements."""
    operations = {
        "one": {"sql": "SELECT {n}::int"},
        "two": {"transaction": ["SELECT {n}::int", "SELECT {n}::text"]},
    }
    usual: dict[str, Any] = {
        "driver": "postgres",
        "target": "postgres",
        "keys": None,
        "operations": operations,
        "parameters": {"n": {"count": 1000}},
        "session": {"statement_timeout": "7s"},
    }
    return plan_of(**(usual | workload))


@pytest.fixture
def hurt(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """One that goes on when the test has ended, however it has."""
    yield postgres
    postgres.thaw()


def test_a_stalled_server_shows_as_wait_and_nothing_is_lost(hurt: PostgresServer) -> None:
    engine = client(plan_for(deadline="60s", phases={"steady": "2s"}), hurt.target)
    ran = run(engine, (0.3, hurt.freeze), (1.3, hurt.thaw))
    ran.assert_adds_up()
    assert ran.outcomes() == {Outcome.OK: 400}
    assert percentile_ns(ran.counts("response"), 99) > 700_000_000
    assert ran.result.pool is not None
    assert ran.result.pool["utilization_max"] == 1
    assert ran.result.counters["lost_connections"] == ran.result.counters["leaked_connections"] == 0


def test_what_is_not_answered_in_time_ends_as_timeout_at_its_deadline(hurt: PostgresServer) -> None:
    engine = client(plan_for(deadline="300ms", phases={"steady": "4s"}), hurt.target)
    ran = run(engine, (0.3, hurt.freeze), (1.2, hurt.thaw))
    ran.assert_adds_up()
    found = ran.outcomes()
    assert sum(found.values()) == 800
    assert found[Outcome.TIMEOUT] >= 10, "all that was in flight"
    assert found.get(Outcome.DROPPED, 0) + found.get(Outcome.REFUSED, 0) > 0
    assert found[Outcome.OK] > 100
    assert set(found) <= {Outcome.OK, Outcome.TIMEOUT, Outcome.DROPPED, Outcome.REFUSED}
    assert percentile_ns(ran.counts("service", Outcome.TIMEOUT), 0.1) >= 300_000_000
    assert percentile_ns(ran.counts("service", Outcome.TIMEOUT), 50) < 2_000_000_000
    assert ran.result.counters["leaked_connections"] == 0


def test_a_run_that_ends_while_the_server_says_nothing_ends(hurt: PostgresServer) -> None:
    engine = client(plan_for(deadline="300ms", phases={"steady": "700ms"}), hurt.target)
    ran = run(engine, (0.2, hurt.freeze))
    ran.assert_adds_up()
    assert ran.outcomes()[Outcome.TIMEOUT] >= 10
    assert ran.result.counters["leaked_connections"] == 0
    assert ran.result.counters["lost_connections"] == 10, "those that did not come to rest were closed"


@pytest.mark.long  # a connection that was being reset when the server was frozen has the deadline for it
def test_a_stop_at_once_does_not_wait_for_a_server_that_says_nothing(hurt: PostgresServer) -> None:
    engine = client(plan_for(deadline="60s", phases={"long": "60s"}), hurt.target)
    ran = run(engine, (0.3, hurt.freeze), (0.6, lambda: engine.stop(at_once=True)))
    ran.assert_adds_up()
    # A lane that was coming to rest when the server was frozen, or has not sent by then, holds no arrival.
    assert 0 < ran.outcomes()[Outcome.RESET] <= 10
    assert ran.outcomes()[Outcome.DROPPED] > 0
    assert ran.result.counters["leaked_connections"] == 0


@pytest.mark.long
def test_a_killed_server_is_named_in_the_outcomes_and_the_run_goes_on(hurt: PostgresServer) -> None:
    plan = plan_for(deadline="1s", phases={"before": "500ms", "during": "2s", "after": "60s"})
    # As soon as it is back, whenever that is on a busy machine.
    back = lambda second, live: second > 4 and live.connected == 10  # noqa: E731 - one condition
    ran = run(client(plan, hurt.target), (0.7, hurt.kill), until=back)
    ran.assert_adds_up()
    found = ran.outcomes()
    assert sum(found.values()) >= 750
    assert found[Outcome.REFUSED] > 0
    assert set(found) <= {Outcome.OK, Outcome.REFUSED, Outcome.RESET, Outcome.DROPPED, Outcome.ERROR}
    before, _, after = ran.result.tallies.reshape(3, 2, -1).sum(axis=1)
    assert before[Outcome.OK] == 100
    assert after[Outcome.OK] > 0, "back before the end, its statements prepared again"
    counters = ran.result.counters
    assert counters["lost_connections"] >= counters["reconnects"] > 0
    assert counters["connections_created"] == 10 + counters["reconnects"]
    assert counters["leaked_connections"] == 0
    assert {event["kind"] for event in ran.events} == {"reconnected"}
    assert all(event["away_ns"] >= 0 and event["attempts"] >= 1 for event in ran.events)
    assert max(look.connected for look in ran.seen) == 10


@pytest.fixture
def slow_to_log_in(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """One that takes a second to let anybody in from `hang_up` on."""
    yield postgres
    postgres.execute("ALTER SYSTEM RESET pre_auth_delay", "SELECT pg_reload_conf()")


def test_a_log_in_that_takes_longer_than_a_deadline_is_done_once_and_used_by_later_arrivals(
    slow_to_log_in: PostgresServer,
) -> None:
    def hang_up() -> None:
        slow_to_log_in.execute(
            "ALTER SYSTEM SET pre_auth_delay = 1",
            "SELECT pg_reload_conf()",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast-%'",
        )

    plan = plan_for(deadline="600ms", phases={"before": "1s", "after": "60s"})
    back = lambda second, live: second > 2 and live.connected == 10  # noqa: E731 - one condition
    ran = run(client(plan, slow_to_log_in.target), (0.5, hang_up), until=back)
    ran.assert_adds_up()
    _, after = ran.result.tallies.reshape(2, 2, -1).sum(axis=1)
    assert after[Outcome.OK] > 0
    counters = ran.result.counters
    assert counters["lost_connections"] == counters["reconnects"] == 10
    assert counters["leaked_connections"] == 0
