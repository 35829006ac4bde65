"""Every arrival ends in exactly one outcome, whatever the server does."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import TargetError
from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
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
    told = {(entry["operation"], entry["text"]): entry["count"] for entry in ran.result.errors}
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
    assert sum(entry["count"] for entry in ran.result.errors) == ran.count(ERROR) == 200
    assert len({entry["text"] for entry in ran.result.errors}) <= 16


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

    ran = run(plan_of(({"name": "s", "for": "2s"},), rate="100/s", deadline="200ms"), server.target, away)
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


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 100, b"$5\r\nabcdefgh\r\n"])
def test_bytes_that_are_no_reply_break_the_lane_and_are_an_anomaly(serve: Serve, junk: bytes) -> None:
    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(junk)

    ran = run(plan_of(rate="50/s"), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK, ERROR) == 0
    assert ran.count(RESET) > 0
    # A machine that stands still adds a word about itself.
    assert "broken_replies" in [code for code, _, _ in ran.result.anomalies]


def test_replies_that_nobody_asked_for_are_an_anomaly(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(b"+OK\r\n+OK\r\n")

    ran = run(plan_of(rate="50/s"), serve(behave).target)
    ran.assert_sums_hold()
    assert "stray_replies" in [code for code, _, _ in ran.result.anomalies]


def test_pushes_between_replies_are_no_replies(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(b">2\r\n+invalidate\r\n*1\r\n+k\r\n|1\r\n+a\r\n+b\r\n+OK\r\n>1\r\n-odd\r\n")

    ran = run(plan_of(resp=3, pipeline=3), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 200
    assert ran.anomalies == []


def test_answers_of_one_byte_per_packet_are_answers(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            for byte in b"*2\r\n$3\r\nabc\r\n_\r\n":
                talk.send(bytes([byte]))

    ran = run(plan_of(), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == 200


def test_answers_larger_than_the_receive_buffer_are_answers(serve: Serve) -> None:
    size = 3_000_000
    reply = b"$%d\r\n%s\r\n" % (size, b"z" * size)
    ran = run(plan_of(rate="20/s", deadline="60s"), serve(answer(reply)).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == 20
    assert ran.result.counters["bytes_received"] == 20 * len(reply)


def test_requests_that_the_socket_takes_in_parts_arrive_whole(serve: Serve) -> None:
    """1 MiB values to a server that reads late: the rest of a request waits in the lane's draft."""

    def behave(talk: Talk) -> None:
        time.sleep(0.2)
        for words in talk.commands():
            assert len(words[2]) == 1 << 20
            talk.send(b"+OK\r\n")

    server = serve(behave)
    plan = plan_of(rate="50/s", lanes=2, pipeline=4, value={"bytes": "1MiB"}, deadline="60s")
    ran = run(plan, server.target)
    ran.assert_sums_hold()
    assert ran.count(OK) == 50
    numbers = sorted(int(mark) for stream in server.streams for mark in marks_of(stream))
    assert numbers == list(range(50))
    assert ran.result.counters["bytes_sent"] == sum(map(len, server.streams))


def marks_of(stream: bytes) -> list[bytes]:
    """The arrival numbers at the head of every value."""
    head = b"$1048576\r\n"
    return [stream[at + len(head) : at + len(head) + 12] for at in places_of(stream, head)]


def places_of(stream: bytes, what: bytes) -> list[int]:
    found, at = [], stream.find(what)
    while at >= 0:
        found.append(at)
        at = stream.find(what, at + 1)
    return found


def test_a_server_that_does_not_read_times_out_though_nothing_was_taken(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        gone.wait(60)

    gone = threading.Event()
    plan = plan_of(
        ({"name": "s", "for": "500ms"},), rate="20/s", lanes=2, value={"bytes": "16MiB"}, deadline="300ms"
    )
    ran = run(plan, serve(behave).target, lambda engine: None)
    gone.set()
    ran.assert_sums_hold()
    assert ran.planned == 10
    assert ran.count(TIMEOUT) >= 2
    assert ran.count(TIMEOUT, DROPPED, REFUSED) == 10


def test_a_pipeline_of_ten_is_answered_in_order(serve: Serve) -> None:
    deepest: list[int] = []

    def behave(talk: Talk) -> None:
        """Answers ten at a time: only a lane with ten in flight gets on."""
        waiting = 0
        for _ in talk.commands():
            waiting += 1
            if waiting == 10:
                deepest.append(waiting)
                talk.send(b"".join([b"-ERR tenth\r\n" if n == 9 else b"+OK\r\n" for n in range(10)]))
                waiting = 0

    ran = run(plan_of(rate="500/s", lanes=1, pipeline=10), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.planned == 500
    assert len(deepest) == 50
    assert ran.count(OK) == 450
    assert ran.count(ERROR) == 50


def test_a_pipeline_never_holds_more_than_its_depth(serve: Serve) -> None:
    held: list[int] = []

    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            count = 1
            talk.socket.settimeout(0.25)
            try:
                for _ in talk.commands():
                    count += 1
            except TimeoutError:
                held.append(count)
                talk.socket.settimeout(None)  # the next may come late: the generator shares its processor
                talk.send(b"+OK\r\n" * count)

    ran = run(plan_of(rate="100/s", lanes=1, pipeline=7, deadline="60s"), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == 100
    assert max(held) == 7


def test_an_operation_of_several_commands_ends_with_its_last_answer(serve: Serve) -> None:
    def behave(talk: Talk) -> None:
        for words in talk.commands():
            if words[0] == b"EXEC":
                time.sleep(0.01)
                talk.send(b"*2\r\n+OK\r\n:1\r\n")
            else:
                talk.send(b"-ERR no\r\n" if words[1:] == [b"fail"] else b"+QUEUED\r\n")

    operations = {
        "move": {"commands": [["MULTI"], ["SET", "{key}", "{value}"], ["INCR", "n"], ["EXEC"]]},
        "fail": {"commands": [["MULTI"], ["INCR", "fail"], ["EXEC"]]},
    }
    ran = run(plan_of(operations=operations, rate="50/s", pipeline=2, lanes=3), serve(behave).target)
    ran.assert_sums_hold()
    move, fail = ran.result.tallies
    assert move[OK] == ran.result.taken[0] > 0
    assert fail[ERROR] == ran.result.taken[1] > 0
    assert ran.least_ns("service") >= 9_900_000
    assert ran.result.errors == [{"operation": "fail", "text": "ERR no", "count": fail[ERROR]}]


def test_a_generator_that_waits_for_a_slow_server_knows_that_it_was_idle(serve: Serve) -> None:
    """Every sleep of the loop ends with an answer, none by itself; it slept all the same."""

    def behave(talk: Talk) -> None:
        for _ in talk.commands():
            time.sleep(0.005)
            talk.send(b"+OK\r\n")

    ran = run(plan_of(rate="400/s", lanes=1, deadline="60s"), serve(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == 400
    assert percentile_ns(ran.histogram("lag"), 50) > percentile_ns(ran.histogram("service"), 50)
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


def test_a_host_of_two_addresses_is_reached_at_the_one_that_listens(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer())
    resolve = socket.getaddrinfo

    def both(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        if host != "localhost":
            return resolve(host, port, *args, **kwargs)  # type: ignore[arg-type]
        kind = (socket.SOCK_STREAM, 6, "")
        return [(socket.AF_INET6, *kind, ("::1", port, 0, 0)), (socket.AF_INET, *kind, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    ran = run(plan_of(), Target("redis", "redis", "localhost", server.port))
    ran.assert_sums_hold()
    assert ran.count(OK) == 200


def test_lanes_come_back_although_something_else_answered_for_a_while(serve: Serve) -> None:
    """A proxy in front of a target that is away may greet us in a language of its own."""

    def log_in(talk: Talk) -> bool:
        if 4 <= talk.number < 40:
            talk.socket.recv(10)
            talk.send((b"HTTP/1.1 503 away\r\n\r\n", b"-LOADING data\r\n", b"")[talk.number % 3])
            return False
        return Talk.log_in(talk)

    server = serve(answer(), log_in)

    def drop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 50, "answers")
        server.drop_all()
        eventually(
            lambda: engine.live().connected == 4 and engine.live().reconnections == 4, "all lanes back"
        )

    ran = run(plan_of(({"name": "s", "for": "2s"},), deadline="60s"), server.target, drop)
    ran.assert_sums_hold()
    assert ran.count(OK, RESET) == 400
    assert ran.count(RESET) <= 4


def test_a_lane_that_is_lost_again_as_soon_as_it_is_back_comes_back_too(serve: Serve) -> None:
    """The first that gets through after an outage is closed at once, while the others still wait for it."""

    def log_in(talk: Talk) -> bool:
        if 4 <= talk.number < 8:
            return False  # away: hangs up on everybody
        back = Talk.log_in(talk)
        return back and talk.number != 8

    server = serve(answer(), log_in)

    def drop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 50, "answers")
        server.drop_all()
        eventually(
            lambda: engine.live().connected == 4 and engine.live().reconnections >= 5, "all lanes back"
        )

    ran = run(plan_of(({"name": "s", "for": "2s"},), deadline="60s"), server.target, drop)
    ran.assert_sums_hold()
    assert ran.count(OK, RESET) == 400


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
    assert ran.count(OK) == 4
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


def test_a_target_that_refuses_is_told_before_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TargetError, match="redis"):
        run(plan_of(), Target("redis", "redis", "127.0.0.1", port))


@pytest.mark.parametrize(
    "said", [b"-ERR max number of clients reached\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
)
def test_a_target_that_is_no_redis_is_told_before_the_run(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(4):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(10)
                    connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(TargetError, match="redis"):
            run(plan_of(), Target("redis", "redis", "127.0.0.1", listener.getsockname()[1]))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)
