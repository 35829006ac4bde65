"""The wire engine against a real server: breaks, restarts, pauses."""

import os
import signal
import threading
from dataclasses import replace

import pytest

from bench.core.errors import TargetError
from bench.core.histogram import max_ns, percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.probes.redis import RespClient
from bench.stack.stack import Stack
from bench.stack.target import Target
from tests.engine.runs import plan_of, run
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED
PASSWORD = "correct horse"


def ask(target: Target, *commands: list[str]) -> list[object]:
    """Answers of commands sent on one connection of our own."""
    with RespClient(target.host, target.port, 10.0) as server:
        return [server.ask(*words) for words in commands]


def pid_of(stack: Stack) -> int:
    return int(stack.describe()[0].pid or 0)


def test_a_preloaded_server_answers_every_read(valkey: Stack) -> None:
    plan = plan_of(
        operations={"get": {"command": ["GET", "{key}"]}},
        keys={"count": 12_345, "preload": True, "distribution": "zipf"},
        rate="1000/s",
    )
    ran = run(plan, valkey.targets()["redis"])
    ran.assert_sums_hold()
    assert ran.count(OK) == 1000
    assert ran.result.counters["null_replies"] == 0
    assert ask(valkey.targets()["redis"], ["DBSIZE"]) == [12_345]


def test_large_values_are_preloaded_without_holding_them_all(valkey: Stack) -> None:
    plan = plan_of(keys={"count": 40, "preload": True}, value={"bytes": "1MiB"}, rate="10/s")
    ran = run(plan, valkey.targets()["redis"])
    assert ran.count(OK) == 10
    assert ask(valkey.targets()["redis"], ["DBSIZE"]) == [40]


@pytest.mark.parametrize("protocol", [2, 3])
def test_lanes_come_back_with_password_and_database(valkey: Stack, protocol: int) -> None:
    target = replace(valkey.targets()["redis"], password=PASSWORD, db=3)
    ask(target, ["CONFIG", "SET", "requirepass", PASSWORD])

    def break_lanes(engine: WireEngine) -> None:
        for wanted in (50, 150):
            eventually(lambda wanted=wanted: engine.live().outcomes[OK] > wanted, "answers")
            ask(target, ["AUTH", PASSWORD], ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
        ask(target, ["AUTH", PASSWORD], ["CONFIG", "SET", "maxclients", "10000"])

    plan = plan_of(({"name": "s", "for": "2s"},), rate="200/s", lanes=5, resp=protocol, deadline="60s")
    ran = run(plan, target, break_lanes)
    ran.assert_sums_hold()
    assert ran.count(ERROR) == 0, ran.result.errors
    assert ran.count(OK, RESET) == ran.planned == 400
    assert ran.count(RESET) <= 10
    assert ran.result.counters["lost_connections"] == ran.result.counters["reconnects"] == 10
    sizes = ask(target, ["AUTH", PASSWORD], ["DBSIZE"], ["SELECT", "3"], ["DBSIZE"])
    assert sizes[1] == 0
    assert sizes[3] > 0  # type: ignore[operator]


def test_a_wrong_password_and_a_wrong_database_are_told_before_the_run(valkey: Stack) -> None:
    target = valkey.targets()["redis"]
    with pytest.raises(TargetError, match="SELECT 99"):
        run(plan_of(), replace(target, db=99))
    ask(target, ["CONFIG", "SET", "requirepass", PASSWORD])
    with pytest.raises(TargetError, match="AUTH") as refused:
        run(plan_of(), replace(target, password="battery staple"))
    assert "battery" not in str(refused.value)


def test_a_killed_server_comes_back_and_no_arrival_is_lost_from_the_sums(valkey: Stack) -> None:
    def kill(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 100, "answers")
        old = pid_of(valkey)
        os.kill(old, signal.SIGKILL)
        eventually(lambda: pid_of(valkey) not in (0, old), "a restart")

    plan = plan_of(({"name": "s", "for": "2s"},), rate="300/s", lanes=6, deadline="60s")
    ran = run(plan, valkey.targets()["redis"], kill)
    ran.assert_sums_hold()
    assert ran.planned == 600
    # Nobody waited in vain: all but what was in flight was answered, late but in the end.
    assert ran.count(OK, RESET) == 600
    assert 0 <= ran.count(RESET) <= 6
    assert ran.result.counters["lost_connections"] >= 6
    assert ran.result.counters["reconnects"] >= 6
    assert {event["lane"] for event in ran.events} == set(range(6))
    assert percentile_ns(ran.histogram("response"), 99) > percentile_ns(ran.histogram("service", OK), 50)


def test_an_outage_longer_than_the_deadline_is_refused(valkey: Stack) -> None:
    """The server restarts after about a tenth of a second; arrivals are given a hundredth."""

    def kill(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 100, "answers")
        os.kill(pid_of(valkey), signal.SIGKILL)

    plan = plan_of(({"name": "s", "for": "1500ms"},), rate="500/s", lanes=6, deadline="10ms")
    ran = run(plan, valkey.targets()["redis"], kill)
    ran.assert_sums_hold()
    assert ran.planned == 750
    assert ran.count(REFUSED) > 0
    assert ran.least_ns("response", REFUSED) >= 9_900_000


def test_a_pause_shows_in_the_response_and_not_in_the_median_service(valkey: Stack) -> None:
    """The HdrHistogram story: perfect answers, then one long pause. A clock from the send hides it."""
    pid = pid_of(valkey)

    def pause(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 100, "answers")
        os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(1.0)  # the length of the pause, not a synchronisation
        os.kill(pid, signal.SIGCONT)

    plan = plan_of(({"name": "s", "for": "2500ms"},), rate="500/s", lanes=8, deadline="60s")
    ran = run(plan, valkey.targets()["redis"], pause)
    ran.assert_sums_hold()
    assert ran.planned == ran.count(OK) == 1250
    response, service = ran.histogram("response"), ran.histogram("service")
    # Two fifths of the arrivals was planned into the pause: their waits spread evenly over its second.
    assert percentile_ns(response, 99) > 800_000_000
    assert percentile_ns(response, 90) > 300_000_000
    assert percentile_ns(service, 50) < percentile_ns(response, 90) / 5
    # At most one request of each lane was under way: service alone would call 99 % of them fine.
    assert max_ns(service) > 800_000_000
    assert percentile_ns(service, 99) < percentile_ns(response, 90)
    assert percentile_ns(ran.histogram("lag"), 99) > 700_000_000


def test_a_run_on_many_lanes_and_threads_is_complete(valkey: Stack) -> None:
    plan = plan_of(rate="2000/s", lanes=300, threads=2, pipeline=3, arrivals="poisson")
    ran = run(plan, valkey.targets()["redis"])
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned > 1500
