"""Threads of a workload wait for their lanes in one queue: as long as one thread would."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core.outcome import Outcome
from tests.engine.runs import plan_of, run
from tests.helpers.servers import Behaviour, LittleServer, Talk, answer

Serve = Callable[[Behaviour], LittleServer]
SERVICE_S = 0.01


def slow(talk: Talk) -> None:
    for _ in talk.commands():
        time.sleep(SERVICE_S)
        talk.send(b"+OK\r\n")


def waited_beside_a_free_lane(log: np.ndarray, lanes: int) -> float:
    """The share of the run in which an arrival waited although a lane was free."""
    assert (log["sent_ns"] >= 0).all()
    planned, sent, done = (np.sort(log[name]) for name in ("planned_ns", "sent_ns", "done_ns"))
    at = np.unique(np.concatenate([planned, sent, done]))
    planned_by, sent_by, done_by = (np.searchsorted(times, at, "right") for times in (planned, sent, done))
    waiting, busy = planned_by - sent_by, sent_by - done_by
    wasted = (waiting[:-1] > 0) & (busy[:-1] < lanes)
    return float((np.diff(at) * wasted).sum() / at[-1])


def one_lane_hangs(talk: Talk) -> None:
    for _ in talk.commands():
        time.sleep(30 * SERVICE_S if talk.number == 0 else SERVICE_S / 10)
        talk.send(b"+OK\r\n")


def test_a_lane_that_hangs_keeps_nothing_waiting_that_another_threads_lane_could_send(
    serve: Serve, tmp_path: Path
) -> None:
    """Half of the arrivals are the turn of a lane that answers three times a second."""
    plan = plan_of(
        ({"name": "s", "for": "1500ms"},), lanes=2, threads=2, rate="100/s", deadline="60s", log=True
    )
    ran = run(plan, serve(one_lane_hangs).target, folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.log is not None
    assert waited_beside_a_free_lane(ran.log, 2) < 0.3


@pytest.mark.parametrize(("lanes", "threads"), [(3, 2), (4, 3)])
def test_no_arrival_waits_for_the_lane_of_one_thread_while_another_has_a_free_one(
    serve: Serve, tmp_path: Path, lanes: int, threads: int
) -> None:
    """80 % of what the lanes can do: too much for a thread that has one lane and half of the arrivals."""
    rate = f"{int(0.8 * lanes / SERVICE_S)}/s"
    plan = plan_of(
        ({"name": "s", "for": "2s"},), lanes=lanes, threads=threads, rate=rate, deadline="20s", log=True
    )
    ran = run(plan, serve(slow).target, folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.count(Outcome.OK) == ran.planned
    assert ran.log is not None
    assert waited_beside_a_free_lane(ran.log, lanes) < 0.3


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_every_arrival_is_taken_once_however_many_threads_ask(
    serve: Serve, tmp_path: Path, threads: int, arrivals: str
) -> None:
    plan = plan_of(
        ({"name": "s", "for": "500ms"},),
        lanes=7, threads=threads, arrivals=arrivals, rate="4000/s", deadline="20s", log=True,
    )  # fmt: skip
    ran = run(plan, serve(answer()).target, folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.log is not None
    assert sorted(ran.log["arrival"]) == list(range(ran.planned))
    assert ran.planned == 2000 or arrivals == "poisson"
    assert set(ran.log["lane"].tolist()) <= set(range(7))
    if threads > 1:
        assert ran.log["lane"].max() >= 4, "a lane has one number over all threads"


def test_a_thread_whose_lanes_are_all_gone_leaves_its_arrivals_to_the_others(
    serve: Serve, tmp_path: Path
) -> None:
    def one_goes(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(b"+OK\r\n")
            if talk.number == 0:
                server.stop_listening()
                return

    server = serve(one_goes)
    plan = plan_of(lanes=2, threads=2, rate="200/s", deadline="20s", log=True)
    ran = run(plan, server.target, folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.count(Outcome.OK) >= ran.planned - 1
    assert ran.count(Outcome.REFUSED, Outcome.DROPPED) == 0


def test_a_stop_ends_what_was_planned_until_then_once(serve: Serve, tmp_path: Path) -> None:
    def stop(engine: object) -> None:
        time.sleep(0.3)
        engine.stop(at_once=True)  # type: ignore[attr-defined]

    plan = plan_of(
        ({"name": "s", "for": "60s"},), lanes=4, threads=4, rate="2000/s", deadline="20s", log=True
    )
    ran = run(plan, serve(slow).target, during=stop, folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.log is not None
    assert sorted(ran.log["arrival"]) == list(range(ran.planned))
    assert ran.planned < 60 * 2000
