"""HTTP through the wire engine: real sockets, answers of every shape, and what each ends as."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bench.core.answers import ErrorCount
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from tests.engine.runs import plan_of, run
from tests.helpers.http_server import OK as FINE
from tests.helpers.http_server import Answerer, Asked, LittleHttp, always
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED

GET = {"get": {"request": {"path": "/"}}}
Serve = Callable[..., LittleHttp]


@pytest.fixture
def web() -> Iterator[Serve]:
    started: list[LittleHttp] = []

    def start(behave: Callable[[Answerer], None]) -> LittleHttp:
        started.append(LittleHttp(behave))
        return started[-1]

    yield start
    for server in started:
        server.close()


def http_plan(operations=GET, **workload):
    given = {"driver": "http", "target": "api", "operations": operations, "deadline": "10s"} | workload
    return plan_of(({"name": "s", "for": "300ms"},), **given)


def test_requests_are_what_the_scenario_says(web: Serve) -> None:
    asked: list[Asked] = []
    lock = threading.Lock()

    def behave(answerer: Answerer) -> None:
        for one in answerer.requests():
            with lock:
                asked.append(one)
            answerer.send(FINE)

    operations = {
        "read": {"request": {"path": "/items/{item}?page={item}", "headers": {"X-Item": "i{item}."}}},
        "buy": {
            "request": {
                "method": "POST",
                "path": "/orders/{seq}",
                "headers": {"Idempotency-Key": "{run}-{seq}"},
                "json": {
                    "item": "{item}",
                    "delta": "{delta}",
                    "note": 'no "{item}"',
                    "list": [1, 2.5, None, True],
                },
            }
        },
        "text": {"request": {"method": "PUT", "path": "/t", "body": "v={value}"}},
        "json": {"request": {"method": "POST", "path": "/j", "json": '{"a": {item}, "b": "x{item}"}'}},
        "empty": {"request": {"method": "POST", "path": "/e"}},
    }
    parameters = {"item": {"count": 1000}, "delta": {"from": -500, "to": 500}}
    plan = http_plan(
        operations,
        parameters=parameters,
        value={"bytes": 20},
        headers={"Authorization": "Bearer t"},
        rate="1000/s",
    )
    server = web(behave)
    ran = run(plan, server.target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == len(asked)
    for one in asked:
        assert one.headers["Host"] == server.target.address
        assert one.headers["Authorization"] == "Bearer t"
        match one.path.split("/")[1]:
            case "items":
                number = one.path.split("/")[2].partition("?")[0]
                assert one.path == f"/items/{number}?page={number}"
                assert number == str(int(number))
                assert one.headers["X-Item"] == f"i{number}."
            case "orders":
                body = json.loads(one.body)
                assert body.keys() == {"item", "delta", "note", "list"}
                assert -500 <= body["delta"] <= 500
                assert body["note"] == f'no "{body["item"]:03d}"'
                assert body["list"] == [1, 2.5, None, True]
                assert one.headers["Content-Type"] == "application/json"
                assert one.headers["Idempotency-Key"].endswith("-" + one.path.split("/")[2])
            case "t":
                assert len(one.body) == 22
                assert one.body[2:14].isdigit()
            case "j":
                body = json.loads(one.body)
                assert body["b"] == f"x{body['a']:03d}"
            case "e":
                assert (one.body, one.headers["Content-Length"]) == (b"", "0")
    paths = [one.path for one in asked if one.path.startswith("/orders")]
    assert len(set(paths)) == len(paths) > 10
    deltas = {json.loads(one.body)["delta"] for one in asked if one.path.startswith("/orders")}
    assert min(deltas) < 0 < max(deltas)


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nabcd\r\n1a;x=y\r\nefghijklmnopqrstuvwxyz0123\r\n0\r\nTrailer: t\r\n\r\n"
)
ANSWERS = {
    "with a length": FINE,
    "chunked": CHUNKED,
    "without a body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + FINE,
    "without a reason": b"HTTP/1.1 200\r\ncontent-length:0\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("pieces", [0, 1, 7])
def test_every_shape_of_answer_ends_ok_on_a_kept_connection(web: Serve, answer: bytes, pieces: int) -> None:
    server = web(always(answer, pieces))
    ran = run(http_plan(), server.target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 60
    assert server.accepted == 4
    assert ran.result.counters["lost_connections"] == 0


def test_a_chunked_answer_may_be_cut_anywhere(web: Serve) -> None:
    """One cut per answer, at every position in turn."""
    cut = iter(range(1, 10**6))

    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            at = next(cut) % len(CHUNKED)
            answerer.send(CHUNKED[:at])
            answerer.send(CHUNKED[at:])

    operations = {"get": {"request": {"path": "/", "expect": {"contains": "cdefghi"}}}}
    ran = run(http_plan(operations, lanes=1, rate="1000/s"), web(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned >= len(CHUNKED)


def test_an_answer_larger_than_any_buffer_is_one_answer(web: Serve) -> None:
    size = 3 << 20
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * (size - 4) + b"last"
    operations = {"get": {"request": {"path": "/", "expect": {"contains": "last"}}}}
    ran = run(http_plan(operations, rate="20/s", lanes=2), web(always(answer)).target)
    assert ran.count(OK) == ran.planned == 6
    assert ran.result.counters["bytes_received"] == 6 * len(answer)


@pytest.mark.parametrize(
    ("answer", "expect", "text"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", {}, "HTTP 503"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", {"status": [200, 201]}, "HTTP 404"),
        (FINE, {"status": 201}, "HTTP 200"),
        (FINE, {"contains": "okay"}, "the body lacks the expected text"),
    ],
)
def test_an_answer_that_was_not_expected_is_an_error_with_its_text(
    web: Serve, answer: bytes, expect: dict, text: str
) -> None:
    server = web(always(answer))
    ran = run(http_plan({"get": {"request": {"path": "/", "expect": expect}}}), server.target)
    ran.assert_sums_hold()
    assert ran.count(ERROR) == ran.planned == 60
    body = "ok" if answer == FINE else None
    assert ran.result.errors == [ErrorCount("get", text, 60, body=body)]
    assert server.accepted == 4  # an error is an answer: the connection stays


def test_an_expected_error_status_is_ok(web: Serve) -> None:
    answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
    operations = {"get": {"request": {"path": "/", "expect": {"status": ["2xx", 409]}}}}
    assert run(http_plan(operations), web(always(answer)).target).count(OK) == 60


def test_credentials_of_the_url_become_basic_authorization(web: Serve) -> None:
    """The name and password of RFC 7617's own example."""
    seen: set[str] = set()

    def behave(answerer: Answerer) -> None:
        for one in answerer.requests():
            seen.add(one.headers["Authorization"])
            answerer.send(FINE)

    target = replace(web(behave).target, username="Aladdin", password="open sesame")
    assert run(http_plan(), target).count(OK) == 60
    assert seen == {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}


def test_the_answer_to_head_has_no_body(web: Serve) -> None:
    operations = {"head": {"request": {"method": "HEAD", "path": "/"}}}
    ran = run(http_plan(operations), web(always(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")).target)
    assert ran.count(OK) == ran.planned == 60


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\neverything until the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["connection: close", "until close", "HTTP/1.0"],
)
def test_a_server_that_closes_after_every_answer_loses_nothing(web: Serve, answer: bytes) -> None:
    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            answerer.send(answer)
            return

    server = web(behave)
    ran = run(http_plan(), server.target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 60
    assert ran.result.counters["closed_after_answer"] == 60
    assert ran.result.counters["lost_connections"] == 0
    assert server.accepted >= 60


def test_an_answer_cut_short_is_reset(web: Serve) -> None:
    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            answerer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return

    ran = run(http_plan(), web(behave).target)
    ran.assert_sums_hold()
    assert ran.count(RESET) == ran.planned
    assert ran.result.counters["lost_connections"] == ran.planned


def test_bytes_that_are_no_http_break_the_lane_and_are_told(web: Serve) -> None:
    ran = run(http_plan(), web(always(b"-ERR unknown command\r\n")).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == 0
    assert "broken_replies" in [code for code, _, _ in ran.result.anomalies]


def test_an_answer_after_the_deadline_is_a_timeout_and_never_the_next_ones(web: Serve) -> None:
    held = threading.Event()

    def behave(answerer: Answerer) -> None:
        for number, _ in enumerate(answerer.requests()):
            if answerer.number == 0 and number == 0:
                held.wait(60)
            answerer.send(FINE)

    ran = run(http_plan(deadline="100ms"), web(behave).target, during=lambda engine: None)
    held.set()
    ran.assert_sums_hold()
    assert ran.count(TIMEOUT) == 1
    assert ran.count(OK) == ran.planned - 1


def test_a_server_that_goes_and_stays_away_is_told_with_the_reason(web: Serve) -> None:
    server = web(always(FINE))

    def during(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 5, "answers come")
        server.close()

    ran = run(http_plan(deadline="100ms"), server.target, during)
    ran.assert_sums_hold()
    assert ran.count(REFUSED, DROPPED) > 0
    (told,) = [message for code, _, message in ran.result.anomalies if code == "lanes_away"]
    assert "4 lanes had no connection at the end" in told
    assert "refused" in told.lower()
