"""HTTP answers that no one planned for: odd statuses, early answers, farewells on idle connections."""

from collections.abc import Callable, Iterator

import pytest

from bench.core.outcome import Outcome
from tests.engine.runs import plan_of, run
from tests.helpers.http_server import OK as FINE
from tests.helpers.http_server import Answerer, LittleHttp, always
from tests.helpers.waiting import eventually

OK, ERROR = Outcome.OK, Outcome.ERROR
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


def http_plan(operations=None, **workload):
    given = {"driver": "http", "target": "api", "deadline": "10s"} | workload
    given["operations"] = operations or {"get": {"request": {"path": "/"}}}
    return plan_of(({"name": "s", "for": "300ms"},), **given)


@pytest.mark.parametrize("status", [600, 799, 999])
def test_a_status_that_http_does_not_know_is_an_error(web: Serve, status: int) -> None:
    operations = {name: {"request": {"path": f"/{name}"}} for name in ("first", "last")}
    server = web(always(b"HTTP/1.1 %d What\r\nContent-Length: 0\r\n\r\n" % status))
    ran = run(http_plan(operations), server.target)
    ran.assert_sums_hold()
    assert ran.count(ERROR) == ran.planned
    assert {error.text for error in ran.result.errors} == {f"HTTP {status}"}


def test_a_server_that_says_goodbye_on_an_idle_connection_has_done_nothing_wrong(web: Serve) -> None:
    def behave(answerer: Answerer) -> None:
        if answerer.number < 4:
            answerer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        for _ in answerer.requests():
            answerer.send(FINE)

    def said_goodbye() -> None:
        eventually(lambda: server.accepted == 8, "every lane has heard the farewell and connected again")

    server = web(behave)
    ran = run(http_plan(), server.target, once_connected=said_goodbye)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned
    assert ran.result.counters["closed_after_answer"] == 4
    assert ran.anomalies == []


def test_connections_that_a_server_closes_after_its_answers_are_no_outages(web: Serve) -> None:
    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            answerer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            return

    ran = run(http_plan(), web(behave).target)
    assert ran.count(OK) == ran.planned == ran.result.counters["closed_after_answer"]
    assert ran.events == []
    assert ran.result.counters["reconnects"] == 0


def test_an_answer_that_comes_before_the_request_was_sent_whole_ends_it(web: Serve) -> None:
    """The rest of the request is still sent, and only then the next one."""
    size = 6_000_000
    whole: list[int] = []

    def behave(answerer: Answerer) -> None:
        unread = b""
        while True:
            while (end := unread.find(b"\r\n\r\n") + 4) < 4:
                unread += (more := answerer.socket.recv(1 << 20))
                if not more:
                    return
            answerer.send(FINE)
            while len(unread) < end + size:
                unread += (more := answerer.socket.recv(1 << 20))
                if not more:
                    return
            assert unread.startswith(b"POST /early ")
            whole.append(end + size)
            unread = unread[end + size :]

    operations = {"post": {"request": {"method": "POST", "path": "/early", "body": "{value}"}}}
    plan = http_plan(operations, value={"bytes": size}, rate="20/s", lanes=1)
    ran = run(plan, web(behave).target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 6
    assert len(whole) >= 5
    assert ran.result.counters["lost_connections"] == 0
