"""A run ends when it is stopped, whatever it is doing, and leaves nothing behind."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from tests.engine.runs import plan_of, run
from tests.helpers.servers import Behaviour, LittleServer, Talk, answer, read_only
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED
Serve = Callable[[Behaviour], LittleServer]


def test_several_threads_share_one_plan(serve: Serve) -> None:
    ran = run(plan_of(rate="500/s", lanes=7, threads=3), serve(answer()).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 500


@pytest.mark.parametrize("arrivals", ["poisson", "closed"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_stop_is_exact(serve: Serve, arrivals: str, threads: int) -> None:
    def stop(engine: WireEngine) -> None:
        eventually(lambda: sum(engine.live().outcomes) > 50, "some ends")
        engine.stop(at_once=False)

    plan = plan_of(({"name": "s", "for": "1h"},), arrivals=arrivals, threads=threads)
    ran = run(plan, serve(answer()).target, stop)
    ran.assert_sums_hold()
    assert ran.planned > 50
    assert ran.count(TIMEOUT, RESET, REFUSED) == 0


def test_a_stop_waits_for_what_is_in_flight(serve: Serve) -> None:
    asked = threading.Event()

    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            asked.wait(60)
            talk.send(b"+OK\r\n")

    def stop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().in_flight == 4, "lanes in flight")
        engine.stop(at_once=False)
        eventually(lambda: sum(engine.live().outcomes) == engine.live().taken - 4, "the rest dropped")
        asked.set()

    ran = run(plan_of(({"name": "s", "for": "1h"},), deadline="60s"), serve(behave).target, stop)
    ran.assert_sums_hold()
    # Each lane may have sent one more in the turn of the loop in which the stop came.
    assert 4 <= ran.count(OK) <= 8
    assert ran.count(OK, DROPPED) == ran.planned
    if ran.count(DROPPED):
        assert ran.least_ns("response", DROPPED) >= 59 * 10**9


@pytest.mark.parametrize("arrivals", ["constant", "closed"])
def test_a_stop_at_once_resets_what_is_in_flight(serve: Serve, arrivals: str) -> None:
    def stop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().in_flight == 4, "lanes in flight")
        engine.stop(at_once=True)

    ran = run(plan_of(({"name": "s", "for": "1h"},), arrivals=arrivals), serve(read_only).target, stop)
    ran.assert_sums_hold()
    assert ran.count(RESET) == 4
    assert ran.count(RESET, DROPPED) == ran.planned


def test_a_stop_before_the_start_plans_nothing(serve: Serve) -> None:
    ran = run(plan_of(), serve(answer()).target, lambda engine: engine.stop(at_once=False))
    ran.assert_sums_hold()
    assert ran.planned <= 1


@pytest.mark.parametrize("given", [{}, {"arrivals": "closed"}, {"threads": 3}])
def test_an_engine_that_never_began_is_closed_without_a_trace(serve: Serve, given: dict[str, object]) -> None:
    plan = plan_of(**given)
    server = serve(answer())
    before = {thread.name for thread in threading.enumerate()}
    engine = WireEngine(plan, plan.workloads[0], server.target)
    engine.prepare()
    assert engine.is_running()
    engine.close()
    assert not engine.is_running()
    engine.close()
    eventually(lambda: all(not talk.socket.fileno() >= 0 for talk in server.talks), "closed connections")
    assert "connector" not in {thread.name for thread in threading.enumerate()} - before


def test_a_run_leaves_no_descriptor_open(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for _ in zip(range(20), talk.commands(), strict=False):
            talk.send(b"+OK\r\n")

    def ours() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    servers = [serve(behave) for _ in range(2)]
    plan = plan_of(({"name": "s", "for": "300ms"},), rate="500/s", threads=2)
    run(plan, servers[0].target)
    servers[0].close()
    before = ours()
    run(plan, servers[1].target)
    servers[1].close()
    assert ours() < before  # the second listener went too


@pytest.mark.parametrize("arrivals", ["constant", "closed"])
def test_a_stop_is_obeyed_by_a_loop_that_sends_nothing(arrivals: str) -> None:
    def stop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().taken > 10, "arrivals")
        engine.stop(at_once=False)

    given = {} if arrivals == "closed" else {"rate": "1000/s"}
    plan = plan_of(({"name": "s", "for": "30s"},), driver="noop", arrivals=arrivals, **given)
    started = time.monotonic()
    ran = run(plan, None, stop)
    ran.assert_sums_hold()
    # What was due at the stop and not taken yet, on a busy machine some of it, was never sent.
    due = 0 if arrivals == "closed" else ran.count(REFUSED)
    assert ran.count(OK) == ran.planned - due > 10
    assert time.monotonic() - started < 25


def test_a_generator_behind_its_plan_obeys_a_stop() -> None:
    """More than any machine can do, so an arrival is always due."""

    def stop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().taken > 10, "arrivals")
        engine.stop(at_once=False)

    plan = plan_of(({"name": "s", "for": "1h"},), driver="noop", rate="10000000/s", deadline="24h")
    ran = run(plan, None, stop)
    ran.assert_sums_hold()
