"""A primary that takes no writes any more: the lane that it refuses is closed and finds the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from bench.core.outcome import Outcome
from bench.engine.api import Engine
from bench.engine.wire.engine import WireEngine
from bench.plan.plan import Plan
from bench.stack.probes.postgres import conninfo
from bench.stack.target import Target
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.parity.parity_runs import ENGINES
from tests.parity.raw_servers import GREETINGS, HELLO_3, Link, RawServer

LANES = 4
REFUSED = b"-READONLY You can't write against a read only replica.\r\n"


def made(engine: str, plan: Plan, target: Target) -> Engine:
    return client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)


def left(ran: Ran) -> int:
    said = [text for code, _, text, *_ in ran.result.anomalies if code == "left_read_only"]
    return int(said[0].split(": ")[1].split()[0]) if said else 0


class Demoted:
    """A Redis whose connections stay with a primary that has become a replica; new ones find another."""

    def __init__(self) -> None:
        self.is_demoted = threading.Event()
        self.server = RawServer(self._serve)
        self.target = Target("redis", "redis", "127.0.0.1", self.server.port)

    def _serve(self, link: Link) -> None:
        is_old = not self.is_demoted.is_set()
        while True:
            words = [link.take(int(link.line()[1:]) + 2)[:-2] for _ in range(int(link.line()[1:]))]
            command = words[0].upper()
            usual = HELLO_3 if command == b"HELLO" else GREETINGS.get(command, b"+OK\r\n")
            refuses = command == b"SET" and is_old and self.is_demoted.is_set()
            link.socket.sendall(REFUSED if refuses else usual)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_redis_that_has_become_a_replica_is_left_after_one_refusal_a_lane(engine: str) -> None:
    redis = Demoted()
    operations = {"set": {"command": ["SET", "a", "b"]}}
    plan = plan_of(
        engine=engine, pool=LANES, lanes=LANES, keys=None, operations=operations, phases={"steady": "1s"}
    )
    try:
        ran = run(made(engine, plan, redis.target), (0.4, redis.is_demoted.set))
    finally:
        redis.server.close()
    outcomes = ran.outcomes()
    assert set(outcomes) == {Outcome.OK, Outcome.ERROR}
    assert 1 <= outcomes[Outcome.ERROR] <= LANES
    assert left(ran) == outcomes[Outcome.ERROR]
    assert [error.text[:8] for error in ran.result.errors] == ["READONLY"]
    assert ran.result.counters["lost_connections"] == 0, "nobody but us has closed one"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_postgres_that_takes_no_writes_is_left_and_dialled_anew_until_one_does(
    backend: Callable[[], Target], engine: str
) -> None:
    target = backend()
    with psycopg.connect(conninfo(target), autocommit=True) as admin:

        def be_read_only(word: str) -> None:
            admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode())
            admin.execute("SELECT pg_reload_conf()")

        admin.execute("CREATE TABLE IF NOT EXISTS written (n int)")
        operations = {
            "insert": {"sql": "INSERT INTO written VALUES (1)"},
            "twice": {"transaction": ["SELECT 1", "INSERT INTO written VALUES (2)"]},
        }
        plan = plan_of(
            engine=engine, target="postgres", driver="postgres", pool=LANES, lanes=LANES, keys=None,
            operations=operations, rate="100/s", phases={"steady": "2s"},
        )  # fmt: skip
        try:
            ran = run(
                made(engine, plan, target),
                (0.5, lambda: be_read_only("on")),
                (1.0, lambda: be_read_only("off")),
            )
        finally:
            be_read_only("off")
    outcomes = ran.outcomes()
    assert set(outcomes) == {Outcome.OK, Outcome.ERROR}
    assert left(ran) == outcomes[Outcome.ERROR] > 0
    assert {error.text[:5] for error in ran.result.errors} == {"25006"}
    assert ran.result.counters["lost_connections"] == 0
