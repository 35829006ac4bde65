"""Operations of several requests: what the server is asked, and what each comes to, in every engine."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bench.core.histogram import mean_ns
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.helpers.http_server import Answerer, Asked, LittleHttp
from tests.parity.parity_runs import ENGINES

COOKIES = (
    "Set-Cookie: language=en; Path=/",
    "Set-Cookie: session=s-4711; HttpOnly",
    "Set-Cookie: theme=dark",
)
ODD = 'a"b\\c\n/ü 1'
"""A text that path, JSON and header write in different ways."""


def answer(status: str, value: Any, *headers: str) -> bytes:
    body = json.dumps(value).encode() if not isinstance(value, bytes) else value
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


class Shop:
    """Carts with items: it keeps what it was asked, and answers with values that later requests must have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: list[Asked] = []
        self.carts: dict[int, list[Any]] = {}
        self.overrides: dict[str, bytes] = {}
        """Answers to some paths that are not the usual."""
        self.closes = False
        """Whether it closes the connection behind each answer."""

    def behave(self, answerer: Answerer) -> None:
        for asked in answerer.requests():
            with self.lock:
                self.asked.append(asked)
                said = self.overrides.get(asked.path) or self.answer(asked)
            if self.closes:
                answerer.send(said.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                return
            answerer.send(said)

    def answer(self, asked: Asked) -> bytes:
        parts = asked.path.partition("?")[0].split("/")
        if asked.path == "/carts":
            number = len(self.carts) + 17
            self.carts[number] = []
            page = {"links": [{"rel": "self"}, {"id": number}], "odd": ODD, "open": True}
            return answer("201 Created", page, f"Location:  /carts/{number} ", "X-Token: t-0815", *COOKIES)
        if parts[1] == "carts" and parts[3:] == ["items"]:
            items = self.carts[int(parts[2])]
            items.append(json.loads(asked.body))
            return answer("200 OK", {"count": len(items), "total": 9.50}, "Content-Type: application/json")
        return answer("200 OK", b'<input name="csrf" value="x-%b">' % parts[-1].encode())


@pytest.fixture
def shop() -> Iterator[Shop]:
    yield from served(Shop())


def served(shop: Shop) -> Iterator[Shop]:
    server = LittleHttp(shop.behave)
    shop.target = server.target  # type: ignore[attr-defined]  # a test's own
    yield shop
    server.close()


CART = {
    "request": {"method": "POST", "path": "/carts", "expect": {"status": 201}},
    "capture": {
        "cart": {"json": "$.links[1].id"},
        "odd": {"json": "$.odd"},
        "open": {"json": "$.open"},
        "where": {"header": "location"},
        "token": {"header": "X-Token"},
        "session": {"header": "set-cookie", "text": {"after": "session=", "before": ";"}},
        "theme": {"header": "Set-Cookie", "text": {"after": "theme="}},
    },
}
ITEM = {
    "request": {
        "method": "POST",
        "path": "/carts/{cart}/items?odd={odd}",
        "headers": {
            "X-Where": "at {where}",
            "Authorization": "Bearer {token}",
            "Cookie": "{theme}+{session}",
        },
        "json": {"cart": "{cart}", "odd": "{odd}", "open": "{open}", "text": "<{odd}|{cart}>", "n": "{item}"},
        "expect": {"json": {"$.count": 1, "$.total": 9.5}, "header": {"content-type": "application/json"}},
    },
}
ORDER = {
    "request": {"path": "/orders/{cart}", "body": "cart={cart}&open={open}"},
    "capture": {"csrf": {"text": {"after": 'name="csrf" value="', "before": '"'}}},
}
PAY = {"request": {"method": "PUT", "path": "/pay/{csrf}", "json": '{"csrf": {csrf}, "list": ["{csrf}"]}'}}
STEPS = [CART, ITEM, ORDER, PAY]


def ran(engine: str, shop: Shop, steps: list[Any] = STEPS, **more: Any) -> Ran:
    workload: dict[str, Any] = {
        "driver": "http",
        "target": "api",
        "engine": engine,
        "keys": None,
        "parameters": {"item": {"count": 1000}},
        "lanes": 4,
        "pool": 4,
        "operations": {"buy": {"steps": steps}},
        "rate": "100/s",
        "phases": {"steady": "300ms"},
    }
    plan = plan_of(**(workload | more))
    target = shop.target  # type: ignore[attr-defined]  # a test's own
    return run(client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target))


def tallies(found: Ran, *names: str) -> dict[str, dict[Outcome, int]]:
    """How each of the counted ended, for a plan of one phase."""
    rows = found.result.tallies
    return {
        name: {outcome: int(row[outcome]) for outcome in Outcome if row[outcome]}
        for name, row in zip(names, rows, strict=True)
    }


NAMES = ("buy", *(f"buy.step_{number}" for number in range(1, 5)))
OK, ERROR, RESET = Outcome.OK, Outcome.ERROR, Outcome.RESET


@pytest.mark.parametrize("engine", ENGINES)
def test_steps_are_asked_one_after_the_other_with_what_was_captured(shop: Shop, engine: str) -> None:
    found = ran(engine, shop)
    count = len(shop.carts)
    assert count == 30
    assert tallies(found, *NAMES) == {name: {OK: count} for name in NAMES}
    assert found.result.errors == []
    assert [found.result.answers[row].statuses for row in range(1, 5)] == [
        {201: count},
        {200: count},
        {200: count},
        {200: count},
    ]
    assert 0 not in found.result.answers, "answers are counted where they belong"
    methods = Counter(f"{one.method} {one.path.split('/')[1]}" for one in shop.asked)
    assert methods == {"POST carts": 2 * count, "GET orders": count, "PUT pay": count}
    for one in shop.asked:
        path, _, query = one.path.partition("?")
        parts = path.split("/")
        if parts[1] == "carts" and len(parts) > 2:
            cart = int(parts[2])
            assert (parts[3:], query) == (["items"], "odd=a%22b%5Cc%0A/%C3%BC%201")
            assert one.headers["X-Where"] == f"at /carts/{cart}"
            assert one.headers["Authorization"] == "Bearer t-0815"
            assert one.headers["Cookie"] == "dark+s-4711"
            body = json.loads(one.body)
            assert 0 <= body.pop("n") < 1000
            assert body == {"cart": cart, "odd": ODD, "open": True, "text": f"<{ODD}|{cart}>"}
        elif parts[1] == "orders":
            assert one.body.decode() == f"cart={parts[2]}&open=true"
        elif parts[1] == "pay":
            assert json.loads(one.body) == {"csrf": parts[2], "list": [parts[2]]}
    assert sorted(shop.carts) == sorted(
        int(one.path.split("/")[2]) for one in shop.asked if "orders" in one.path
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_response_ends_with_the_last_step_and_each_step_has_its_service(shop: Shop, engine: str) -> None:
    found = ran(engine, shop)
    service = found.counts("service")
    assert service.sum() == 5 * len(shop.carts), "one for the operation, one for each step"
    assert found.counts("response").sum() == len(shop.carts)
    rows = found.result.tallies.shape[0]
    assert rows == len(NAMES)
    assert mean_ns(np.asarray(found.counts("response"))) > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_closes_after_each_answer_is_asked_on_the_next_connection(
    shop: Shop, engine: str
) -> None:
    shop.closes = True
    found = ran(engine, shop)
    assert tallies(found, *NAMES) == {name: {OK: len(shop.carts)} for name in NAMES}
    assert found.result.counters["lost_connections"] == 0


BROKEN: dict[str, tuple[str, bytes, Outcome, str | None]] = {
    "no_json": (
        "/carts",
        answer("201 Created", b'{"links": [0, {"id": 1}'),
        ERROR,
        "nothing to capture: cart",
    ),
    "nothing_there": ("/carts", answer("201 Created", {"links": []}), ERROR, "nothing to capture: cart"),
    "null": (
        "/carts",
        answer("201 Created", {"links": [0, {"id": None}]}),
        ERROR,
        "nothing to capture: cart",
    ),
    "a_list": (
        "/carts",
        answer("201 Created", {"links": [0, {"id": []}]}),
        ERROR,
        "nothing to capture: cart",
    ),
    "too_long": (
        "/carts",
        answer("201 Created", {"links": [0, {"id": "x" * 4097}]}),
        ERROR,
        "longer than 4096 bytes: cart",
    ),
    "status": ("/carts", answer("503 Busy", {}), ERROR, "HTTP 503"),
    "encoded": (
        "/carts",
        answer("201 Created", b"\x1f\x8b", "Content-Encoding: gzip"),
        ERROR,
        "gzip is the encoding of the body, and expect looks at it as it was sent",
    ),
    "no_answer": ("/carts", b"what\r\n\r\n", RESET, None),
    "line_ends": (
        "/carts",
        answer("201 Created", {"links": [0, {"id": 1}], "odd": "a", "open": 1}, "Location: /", "X-Token: ä"),
        ERROR,
        "no printable ASCII, as a header needs: token",
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", BROKEN)
def test_an_operation_ends_with_the_step_that_fails(shop: Shop, engine: str, case: str) -> None:
    path, said, outcome, text = BROKEN[case]
    shop.overrides[path] = said
    found = ran(engine, shop, phases={"steady": "80ms"})
    count = len(shop.asked)
    expected = {outcome: count}
    assert tallies(found, *NAMES) == {"buy": expected, "buy.step_1": expected} | {
        name: {} for name in NAMES[2:]
    }
    assert {(error.operation, error.count) for error in found.result.errors} == {("buy.step_1", count)}
    assert len({error.body for error in found.result.errors}) == 1
    if text is not None:
        assert {error.text for error in found.result.errors} == {text}


UNEXPECTED: dict[str, tuple[bytes, str]] = {
    "number": (answer("200 OK", {"count": 2, "total": 9.5}), "$.count is not as expected"),
    "text": (answer("200 OK", {"count": "1", "total": 9.5}), "$.count is not as expected"),
    "missing": (answer("200 OK", {"total": 9.5}), "$.count is not as expected"),
    "second": (answer("200 OK", {"count": 1, "total": 9.51}), "$.total is not as expected"),
    "header": (answer("200 OK", {"count": 1, "total": 9.5}), "the header content-type is not as expected"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", UNEXPECTED)
def test_values_and_headers_must_be_as_expected(shop: Shop, engine: str, case: str) -> None:
    said, text = UNEXPECTED[case]
    shop.overrides["/check"] = said
    step = {"request": {"path": "/check", "expect": ITEM["request"]["expect"]}}
    for operation in ({"steps": [step]}, step):
        shop.asked.clear()
        found = ran(engine, shop, operations={"buy": operation}, phases={"steady": "40ms"})
        name = "buy.step_1" if "steps" in operation else "buy"
        assert [(error.operation, error.text, error.count) for error in found.result.errors] == [
            (name, text, len(shop.asked))
        ]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_journey_that_takes_too_long_is_a_timeout_of_the_step_it_waits_for(shop: Shop, engine: str) -> None:
    def behave(answerer: Answerer) -> None:
        for asked in answerer.requests():
            if asked.path.startswith("/orders"):
                continue  # and never an answer
            with shop.lock:
                said = shop.answer(asked)
            answerer.send(said)

    server = LittleHttp(behave)
    shop.target = server.target  # type: ignore[attr-defined]  # a test's own
    try:
        found = ran(engine, shop, deadline="200ms", phases={"steady": "30ms"})
    finally:
        server.close()
    timeout = {Outcome.TIMEOUT: len(shop.carts)}
    good = {OK: len(shop.carts)}
    assert tallies(found, *NAMES) == dict(zip(NAMES, (timeout, good, good, timeout, {}), strict=True))
    assert found.counts("response", Outcome.TIMEOUT).sum() == len(shop.carts)
