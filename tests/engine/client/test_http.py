"""The client engine over HTTP, against servers that behave as a test needs."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
from tests.engine.client.http_plans import http_plan
from tests.helpers.client_runs import Ran, client, run
from tests.helpers.http_server import OK, Answerer, Asked, Behaviour, LittleHttp, always


class Recorder:
    """Writes every request down and answers it."""

    def __init__(self, answer: bytes = OK) -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._guard = threading.Lock()

    def __call__(self, answerer: Answerer) -> None:
        for one in answerer.requests():
            with self._guard:
                self.asked.append(one)
            answerer.send(self._answer)

    def requests(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        """In an order of their own; names of headers know no case."""
        found = [
            (one.method, one.path, {name.lower(): text for name, text in one.headers.items()}, one.body)
            for one in self.asked
        ]
        return sorted(found, key=repr)


VARIED: dict[str, Any] = {
    "operations": {
        "get": {"request": {"path": "/items/{item}?page={page}&raw=%7E/../{seq}"}},
        "head": {"request": {"method": "HEAD", "path": "/items//{item}"}},
        "empty": {"request": {"method": "POST", "path": "/empty"}},
        "delete": {"request": {"method": "DELETE", "path": "/items/{item}"}},
        "text": {
            "request": {
                "method": "PUT",
                "path": "/100%25/{item}",
                "headers": {"X-Item": "i={item} 100%", "cookie": "session=abc", "Accept": "text/plain"},
                "body": "é {value} {delta} {run}",
            }
        },
        "texts": {
            "request": {
                "method": "POST",
                "path": "/{colour}/{{item}}/{uuid}?d={day}",
                "headers": {"X-Letters": "{letters}-{size}"},
                "json": {
                    "said": "{said}",
                    "in": "a {said} b",
                    "size": "{size}",
                    "{colour}": ["{uuid}", "{day}", "{letters}", "{{{size}}}"],
                },
            }
        },
        "template": {
            "request": {
                "method": "POST",
                "path": "/template",
                "json": '{"a": {said}, "b": "x {said}", "c": {size}, "d": {"e": {uuid}}}',
            }
        },
        "json": {
            "request": {
                "method": "PATCH",
                "path": "/items/{item}",
                "json": {"delta": "{delta}", "name": "n{item}", "list": [1, "{seq}", None]},
            }
        },
    },
    "parameters": {
        "item": {"count": 100_000, "distribution": "zipf"},
        "delta": {"from": -5000, "to": 5000},
        "page": {"count": 7, "distribution": "gaussian"},
        "colour": {"pick": ["red", "ultramarine"]},
        "said": {"pick": ['a "b" \\', "", "grün"]},
        "size": {"pick": [1, 2.5, 400]},
        "letters": {"text": 9},
        "day": {"date": {"from": "2024-02-28", "to": "2024-03-01"}},
    },
    "headers": {"Authorization": "Bearer token", "User-Agent": "shop/1.0"},
    "value": {"bytes": 40},
    "arrivals": "poisson",
    "phases": {"short": "1s"},
}


def test_both_engines_send_the_same_requests_for_one_seed(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    recorder = Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: other=1\r\n\r\n")
    server = serve(recorder)

    def sent(engine: str, seed: int) -> list[tuple[str, str, dict[str, str], bytes]]:
        recorder.asked.clear()
        plan = http_plan(engine=engine, seed=seed, **VARIED)
        target = server.target
        ran = run(client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target))
        assert ran.outcomes() == {Outcome.OK: len(recorder.asked)}
        return recorder.requests()

    through_client = sent("client", 7)
    assert len(through_client) > 100
    assert len({(method, path.partition("/")[0]) for method, path, _, _ in through_client}) == 6
    said = VARIED["parameters"]["said"]["pick"]
    for _, path, headers, body in through_client:
        if "{item}" in path:
            sent_body = json.loads(body)
            assert sent_body["said"] in said
            assert sent_body["in"] == f"a {sent_body['said']} b"
            colour, size = path.split("/")[1], sent_body["size"]
            assert sent_body[colour][3] == f"{{{size}}}"
            assert sent_body[colour][0] in path
            assert headers["x-letters"] == f"{sent_body[colour][2]}-{size}"
        elif path == "/template":
            sent_body = json.loads(body)
            assert sent_body["b"] == f"x {sent_body['a']}"
            assert sent_body["c"] in (1, 2.5, 400)
            assert uuid.UUID(sent_body["d"]["e"]).version == 4
    assert through_client == sent("wire", 7)
    assert through_client != sent("client", 8)


def test_a_path_before_every_path_is_the_targets(serve: Callable[[Behaviour], LittleHttp]) -> None:
    recorder = Recorder()
    port = serve(recorder).port
    run(
        client(
            http_plan(parameters={"item": {"count": 1}}), Target("api", "http", "127.0.0.1", port, path="/v1")
        )
    )
    assert {one.path for one in recorder.asked} == {"/v1/items/0"}


def test_a_steady_run_adds_up(serve: Callable[[Behaviour], LittleHttp]) -> None:
    server = serve(always(OK))
    plan = http_plan(phases={"warm": "200ms", "steady": "500ms"}, unmeasured=("warm",))
    ran = run(client(plan, server.target))
    ran.assert_adds_up()
    assert ran.result.taken.tolist() == [40, 100]
    assert ran.outcomes() == {Outcome.OK: 140}
    assert ran.result.counters == {
        "lost_connections": 0,
        "reconnects": 0,
        "connections_created": 10,
        "leaked_connections": 0,
        "pool_timeouts": 0,
        "closed_after_answer": 0,
    }
    assert server.accepted == 10, "all opened before the run, and kept"
    assert ran.result.pool is not None
    assert ran.result.pool["size"] == 10
    assert 0 < ran.result.pool["utilization_mean"] <= ran.result.pool["utilization_max"] <= 1
    ran.assert_times_add_up(rel=0.02)
    assert ran.result.errors == []


def errors_of(ran: Ran) -> dict[str, str]:
    return {error.operation: error.text for error in ran.result.errors}


def test_an_answer_that_is_not_what_was_expected_is_an_error(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 1\r\n\r\nbusy"
    operations = {
        "busy": {"request": {"path": "/"}},
        "other": {"request": {"path": "/", "expect": {"status": [503], "contains": "idle"}}},
        "right": {"request": {"path": "/", "expect": {"status": "5xx", "contains": "us"}}},
    }
    ran = run(client(http_plan(operations=operations, parameters={}), serve(always(busy)).target))
    ran.assert_adds_up()
    assert errors_of(ran) == {"busy": "HTTP 503", "other": "the body lacks the expected text"}
    _, _, right = ran.result.tallies
    assert right[Outcome.OK] == right.sum() > 0
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.ERROR}
    assert ran.result.counters["lost_connections"] == 0


def test_nothing_is_followed_kept_or_unpacked(serve: Callable[[Behaviour], LittleHttp]) -> None:
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 3\r\n\r\nraw"
    )
    recorder = Recorder(moved)
    expect = {"status": 302, "contains": "raw"}
    operations = {"get": {"request": {"path": "/here", "expect": expect}}}
    ran = run(client(http_plan(operations=operations, parameters={}), serve(recorder).target))
    assert ran.outcomes() == {Outcome.OK: 100} == {Outcome.OK: len(recorder.asked)}
    assert {one.path for one in recorder.asked} == {"/here"}
    assert not any("Cookie" in one.headers or "Accept-Encoding" in one.headers for one in recorder.asked)


def test_a_large_body_is_sent_whole(serve: Callable[[Behaviour], LittleHttp]) -> None:
    recorder = Recorder()
    operations = {"put": {"request": {"method": "PUT", "path": "/", "body": "{value}"}}}
    plan = http_plan(operations=operations, parameters={}, value={"bytes": "3MB"}, rate="20/s")
    ran = run(client(plan, serve(recorder).target))
    assert ran.outcomes() == {Outcome.OK: 10}
    assert {len(one.body) for one in recorder.asked} == {3_000_000}
    assert len({one.body for one in recorder.asked}) == 10


def test_a_server_that_closes_after_every_answer_loses_no_connection(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    ran = run(client(http_plan(), serve(always(last)).target))
    ran.assert_adds_up()
    assert ran.outcomes() == {Outcome.OK: 100}
    assert ran.result.counters["closed_after_answer"] == 100
    assert ran.result.counters["lost_connections"] == ran.result.counters["reconnects"] == 0
    assert ran.result.counters["leaked_connections"] == 0
    assert ran.events == []


def test_a_server_that_closes_idle_connections_is_dialled_again_in_time(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    def behave(answerer: Answerer) -> None:
        answerer.socket.settimeout(0.05)
        for _ in answerer.requests():
            answerer.send(OK)

    server = serve(behave)
    ran = run(client(http_plan(rate="5/s", phases={"steady": "1s"}), server.target))
    ran.assert_adds_up()
    assert ran.outcomes() == {Outcome.OK: 5}
    assert ran.result.counters["lost_connections"] >= 10
    assert ran.result.counters["reconnects"] == 5
    assert ran.result.counters["connections_created"] == server.accepted == 15
    assert ran.result.counters["leaked_connections"] == 0


def test_a_connection_that_breaks_under_a_request_is_a_reset_and_not_tried_again(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    asked = []

    def behave(answerer: Answerer) -> None:
        for number, one in enumerate(answerer.requests()):
            asked.append(one)
            if number == 3:
                return
            answerer.send(OK)

    ran = run(client(http_plan(), serve(behave).target))
    ran.assert_adds_up()
    found = ran.outcomes()
    assert set(found) == {Outcome.OK, Outcome.RESET}
    assert found[Outcome.RESET] >= 10
    assert len(asked) == 100, "an application's library might have sent those again"
    assert ran.result.counters["lost_connections"] == found[Outcome.RESET]
    assert ran.result.counters["leaked_connections"] == 0
    assert errors_of(ran) == {"get": "the server closed the connection before its answer was complete"}


def test_half_an_answer_and_one_that_cannot_be_read_are_resets_with_their_reason(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    def behave(answerer: Answerer) -> None:
        for one in answerer.requests():
            if one.path == "/half":
                answerer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                return
            answerer.send(b"SSH-2.0-something\r\n\r\n")

    operations = {name: {"request": {"path": f"/{name}"}} for name in ("half", "other")}
    ran = run(client(http_plan(operations=operations, parameters={}), serve(behave).target))
    ran.assert_adds_up()
    half, other = ran.result.tallies
    assert half[Outcome.RESET] == half.sum() > 0
    assert other[Outcome.RESET] == other.sum() > 0, "whether it was done, nobody knows"
    assert errors_of(ran) == {
        "half": "the server closed the connection before its answer was complete",
        "other": "the answer cannot be read: no status line of HTTP/1.0 or 1.1",
    }
    assert [code for code, _, _ in ran.result.anomalies] == ["broken_replies"]
    assert ran.result.counters["leaked_connections"] == 0


def test_what_is_not_answered_in_time_is_a_timeout_at_its_deadline(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    over = threading.Event()

    def behave(answerer: Answerer) -> None:
        for one in answerer.requests():
            if one.path.endswith("0"):
                over.wait(60)
            answerer.send(OK)

    plan = http_plan(deadline="200ms", pool=50, parameters={"item": {"count": 20}})
    ran = run(client(plan, serve(behave).target))
    over.set()
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.TIMEOUT}
    assert percentile_ns(ran.counts("service", Outcome.TIMEOUT), 0.1) >= 200_000_000
    assert percentile_ns(ran.counts("service", Outcome.TIMEOUT), 50) < 2_000_000_000
    assert ran.result.counters["lost_connections"] == ran.outcomes()[Outcome.TIMEOUT]
    assert ran.result.counters["leaked_connections"] == 0
    assert errors_of(ran) == {}


def test_a_pool_smaller_than_the_demand_shows_as_wait_and_full_use(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    pause = threading.Event()

    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            pause.wait(0.05)
            answerer.send(OK)

    plan = http_plan(pool=2, deadline="300ms", phases={"steady": "1500ms"})
    ran = run(client(plan, serve(behave).target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.DROPPED}
    assert ran.result.counters["pool_timeouts"] > 0
    assert ran.result.counters["connections_created"] == 2
    assert ran.result.pool is not None
    assert ran.result.pool["utilization_max"] == 1
    assert ran.result.pool["utilization_mean"] > 0.8
    assert percentile_ns(ran.counts("pool_wait"), 90) > 200_000_000
    assert percentile_ns(ran.counts("response", Outcome.DROPPED), 0.1) >= 100_000_000
    assert ran.result.counters["leaked_connections"] == 0
