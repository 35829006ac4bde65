"""Replies of every shape and size, and pipelines of them: each request gets its own answer."""

import threading
import time
from collections.abc import Callable

import pytest

from bench.core.answers import ErrorCount
from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from tests.engine.runs import plan_of, run
from tests.helpers.servers import Behaviour, LittleServer, Talk, answer

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED
Serve = Callable[[Behaviour], LittleServer]


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
    assert ran.result.errors == [ErrorCount("fail", "ERR no", fail[ERROR])]


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
