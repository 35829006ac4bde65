"""Every arrival ends in exactly one outcome, whatever the server does."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from tests.engine.runs import plan_of, run
from tests.helpers.servers import Behaviour, LittleServer, Talk, answer, read_only
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED
Serve = Callable[[Behaviour], LittleServer]


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_answered_arrivals_are_ok_and_all_of_the_plan_was_sent(serve: Serve, arrivals: str) -> None:
    ran = run(plan_of(arrivals=arrivals), serve(answer()).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned
    assert ran.planned == 200 if arrivals == "constant" else ran.planned > 100
    assert ran.result.counters["lost_connections"] == 0


def test_a_closed_loop_keeps_every_lane_busy(serve: Serve) -> None:
    ran = run(plan_of(({"name": "s", "for": "500ms"},), arrivals="closed", lanes=3), serve(answer()).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned > 3
    # An arrival is planned when its lane is free: nothing waits for a lane.
    assert percentile_ns(ran.histogram("lag"), 50) < percentile_ns(ran.histogram("service"), 50)


def test_arrivals_belong_to_the_phase_that_planned_them(serve: Serve) -> None:
    phases = ({"name": "a", "for": "300ms", "measured": False}, {"name": "b", "for": "500ms", "load": "50%"})
    ran = run(plan_of(phases, rate="1000/s"), serve(answer()).target)
    ran.assert_sums_hold()
    assert ran.result.taken.tolist() == [300, 250]


def test_errors_are_counted_with_their_texts_by_operation(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for number, words in enumerate(talk.commands()):
            if words[0] == b"SET":
                talk.send(b"-OOM command not allowed\r\n")
            else:
                talk.send(b"-WRONGTYPE no list\r\n" if number % 2 else b"$-1\r\n")

    operations = {"set": {"command": ["SET", "{key}", "x"]}, "get": {"command": ["GET", "{key}"]}}
    ran = run(plan_of(operations=operations, lanes=1, deadline="60s"), serve(behave).target)
    ran.assert_sums_hold()
    sets, gets = ran.result.tallies
    assert sets[OK] == 0
    assert sets[ERROR] > 0
    assert gets[OK] > 0
    assert gets[ERROR] > 0
    told = {(error.operation, error.text): error.count for error in ran.result.errors}
    assert told == {
        ("set", "OOM command not allowed"): sets[ERROR],
        ("get", "WRONGTYPE no list"): gets[ERROR],
    }
    assert ran.result.counters["null_replies"] == gets[OK]
    assert ran.least_ns("response", ERROR) >= 59 * 10**9
    assert ran.least_ns("service", ERROR) < 10**9


def test_more_kinds_of_errors_than_can_be_kept_are_still_counted(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for number, _ in enumerate(talk.commands()):
            talk.send(b"-ERR number %d\r\n" % (number % 40))

    ran = run(plan_of(lanes=1), serve(behave).target)
    ran.assert_sums_hold()
    assert sum(error.count for error in ran.result.errors) == ran.count(ERROR) == 200
    assert len({error.text for error in ran.result.errors}) <= 16


def test_a_server_that_never_answers_costs_lanes_and_time(serve: Serve) -> None:
    server = serve(read_only)
    ran = run(plan_of(({"name": "s", "for": "1s"},), rate="40/s", deadline="200ms", lanes=2), server.target)
    ran.assert_sums_hold()
    assert ran.planned == 40
    assert ran.count(OK, ERROR) == 0
    assert ran.count(TIMEOUT) >= 2
    assert ran.count(TIMEOUT, DROPPED, REFUSED) == 40
    for kind in ("response", "service"):
        assert ran.least_ns(kind, TIMEOUT) >= 199_000_000
    # Each lane that gave up was closed and opened again.
    assert ran.result.counters["lost_connections"] == ran.count(TIMEOUT)
    assert ran.result.counters["reconnects"] > 0


def test_requests_sent_together_pass_their_deadline_together(serve: Serve, tmp_path: Path) -> None:
    """Ten in one write: all of them had their time, so none of them is a RESET."""
    plan = plan_of(
        ({"name": "s", "for": "1ms"},), rate="10000/s", deadline="300ms", lanes=1, pipeline=10, log=True
    )
    ran = run(plan, serve(read_only).target, folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.planned == 10
    assert ran.log is not None
    first_sent = ran.log["sent_ns"].min()
    overdue = ran.log["done_ns"] - ran.log["sent_ns"] >= 300_000_000
    assert overdue[ran.log["sent_ns"] == first_sent].all()
    assert (ran.log["outcome"] == np.where(overdue, TIMEOUT, RESET)).all()


def test_with_pipelining_a_request_not_yet_due_breaks_with_its_lane(serve: Serve) -> None:
    plan = plan_of(({"name": "s", "for": "100ms"},), rate="100/s", deadline="300ms", lanes=1, pipeline=10)
    ran = run(plan, serve(read_only).target)
    ran.assert_sums_hold()
    assert ran.planned == 10
    assert ran.count(TIMEOUT, RESET) == 10
    assert ran.count(TIMEOUT) >= 1
    assert ran.least_ns("service", TIMEOUT) >= 299_000_000
    if ran.count(RESET):
        assert percentile_ns(ran.histogram("service", RESET), 100) < 300_000_000 * 1.002


def test_a_late_answer_is_never_taken_for_the_next_ones(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for number, _ in enumerate(talk.commands()):
            if talk.number == 0 and number == 0:
                time.sleep(0.4)  # past the deadline: by then the lane must be another connection
                talk.send(b"-LATE\r\n")
            else:
                talk.send(b"+OK\r\n")

    ran = run(
        plan_of(({"name": "s", "for": "1s"},), rate="50/s", lanes=1, deadline="150ms"), serve(behave).target
    )
    ran.assert_sums_hold()
    assert ran.count(TIMEOUT) >= 1
    assert ran.count(OK) > 0
    assert ran.count(ERROR) == 0
    assert ran.result.errors == []


def test_a_server_that_closes_after_every_answer_loses_only_what_was_in_flight(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(b"+OK\r\n")
            return

    ran = run(plan_of(rate="100/s", lanes=4), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.planned == 100
    assert ran.count(OK) > 0
    assert ran.count(OK, RESET, DROPPED, REFUSED) == 100
    assert ran.count(RESET) <= ran.result.counters["lost_connections"]
    assert ran.count(OK) <= ran.result.counters["lost_connections"] + 4
    assert ran.result.counters["reconnects"] >= ran.count(OK) - 4
    assert len(ran.events) == ran.result.counters["reconnects"]
    for event in ran.events:
        assert event["kind"] == "reconnected"
        assert event["away_ns"] >= 0


def test_a_reset_is_charged_at_the_deadline(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return  # closing now sends RST

    ran = run(plan_of(rate="100/s", deadline="30s"), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.count(RESET) > 0
    assert ran.count(OK, ERROR, TIMEOUT) == 0
    assert ran.least_ns("response", RESET) >= 29 * 10**9
    assert ran.least_ns("service", RESET) < 10**9


def test_nobody_listening_any_more_is_refused_and_charged(serve: Serve) -> None:
    server = serve(answer())

    def away(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 20, "answers")
        server.stop_listening()
        server.drop_all()

    ran = run(plan_of(({"name": "s", "for": "1s"},), rate="200/s", deadline="200ms"), server.target, away)
    ran.assert_sums_hold()
    assert ran.planned == 200
    assert ran.count(OK) > 20
    assert ran.count(REFUSED) > 0
    assert ran.count(DROPPED, TIMEOUT) == 0
    assert ran.least_ns("response", REFUSED) >= 199_000_000
    assert ran.result.counters["reconnects"] == 0


def test_arrivals_wait_in_plan_order_for_a_server_that_comes_back(serve: Serve) -> None:
    """Away for much less than the deadline: all but what was in flight is answered, and shows the wait."""
    gate = threading.Event()
    broken: list[Talk] = []

    def behave(talk: Talk) -> None:
        if broken and talk.number not in {one.number for one in broken}:
            gate.wait(60)
        for _ in talk.commands():
            if gate.is_set() or talk.number > 0 or len(talk.sent_to_us) < 1500:
                talk.send(b"+OK\r\n")
            else:
                broken.append(talk)
                return

    def come_back(engine: WireEngine) -> None:
        eventually(lambda: broken, "a broken lane")
        taken = engine.live().outcomes[OK]
        eventually(lambda: engine.live().connected == 1, "a new connection")
        time.sleep(0.3)
        assert engine.live().outcomes[OK] == taken
        gate.set()

    server = serve(behave)
    ran = run(
        plan_of(({"name": "s", "for": "1s"},), rate="100/s", lanes=1, deadline="60s"),
        server.target,
        come_back,
    )
    ran.assert_sums_hold()
    assert ran.count(RESET) == 1
    assert ran.count(OK) == 99
    numbers = [words for stream in server.streams for words in stream.split(b"*3\r\n")[1:]]
    marks = [int(word.split(b"\r\n")[5][:12]) for word in numbers]
    assert marks == sorted(marks)
    assert percentile_ns(ran.histogram("response", OK), 100) > 250_000_000


def test_busy_lanes_drop_what_waits_past_its_deadline(serve: Serve) -> None:
    """The lanes are answered, but far too slowly for the plan."""

    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            time.sleep(0.1)
            talk.send(b"+OK\r\n")

    plan = plan_of(({"name": "s", "for": "1s"},), rate="200/s", lanes=2, deadline="300ms")
    ran = run(plan, serve(behave).target)
    ran.assert_sums_hold()
    assert ran.planned == 200
    assert ran.count(DROPPED) > 100
    assert ran.count(REFUSED) == 0
    assert ran.least_ns("response", DROPPED) >= 299_000_000
    # The lanes were the reason, not the generator, and the generator knows it.
    assert ran.result.idle_ratio > 0.3


def test_a_closed_loop_begins_at_run_zero(serve: Serve, tmp_path: Path) -> None:
    """And not when the loop happens to look: that would be time in the lanes which no histogram holds."""
    firsts = []
    for _ in range(8):
        plan = plan_of(({"name": "s", "for": "20ms"},), arrivals="closed", lanes=1, log=True)
        ran = run(plan, serve(answer()).target, folder=tmp_path)
        assert ran.log is not None
        if len(ran.log):  # else the machine had no time for us in those 20 ms
            firsts.append(int(ran.log["planned_ns"].min()))
    assert min(firsts) >= 0
    assert sorted(firsts)[2] < 1_000_000


def test_the_operation_log_has_one_record_of_every_arrival(serve: Serve, tmp_path: Path) -> None:
    operations = {"set": {"command": ["SET", "{key}", "x"]}, "get": {"command": ["GET", "{key}"]}}
    phases = ({"name": "a", "for": "300ms"}, {"name": "b", "for": "700ms"})
    plan = plan_of(phases, operations=operations, threads=2, log=True, arrivals="poisson")
    ran = run(plan, serve(answer()).target, folder=tmp_path)
    ran.assert_sums_hold()
    log = ran.log
    assert log is not None
    assert sorted(log["arrival"]) == list(range(ran.planned))
    assert (log["planned_ns"] <= log["sent_ns"]).all()
    assert (log["sent_ns"] <= log["done_ns"]).all()
    assert (log["outcome"] == OK).all()
    rows = np.bincount(log["phase"] * 2 + log["operation"], minlength=4)
    assert rows.tolist() == ran.result.taken.tolist()
    assert ((log["key"] >= 0) & (log["key"] < 1000)).all()


def test_the_log_marks_what_was_never_sent(serve: Serve, tmp_path: Path) -> None:
    plan = plan_of(({"name": "s", "for": "400ms"},), rate="50/s", lanes=1, deadline="200ms", log=True)
    ran = run(plan, serve(read_only).target, folder=tmp_path)
    assert ran.log is not None
    unsent = np.isin(ran.log["outcome"], (DROPPED, REFUSED))
    assert unsent.any()
    assert (ran.log["sent_ns"][unsent] == -1).all()
    assert (ran.log["lane"][unsent] == -1).all()
    assert (ran.log["done_ns"] - ran.log["planned_ns"] >= 200_000_000)[unsent].all()
