"""Lanes log in before they carry arrivals, and again when they must, in every engine."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.helpers.http_server import Answerer, Asked, LittleHttp
from tests.parity.parity_runs import ENGINES
from tests.parity.test_journeys import answer

LANES = 4
OK, ERROR = Outcome.OK, Outcome.ERROR
USERS = {"email": [f"user{number}@example.com" for number in range(LANES)]}


class Door:
    """Gives each user a token, which is good for some requests, and lets nobody in without one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.good_for = 1_000_000
        self.drops_after = 1_000_000
        """Requests on a connection after which it is dropped without an answer."""
        self.refuses_from = 1_000_000
        """The number of the log-in from which on they are refused."""
        self.log_ins: list[Any] = []
        self.tokens: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.unauthorized = 0

    def behave(self, answerer: Answerer) -> None:
        for number, asked in enumerate(answerer.requests()):
            if number >= self.drops_after:
                return
            with self.lock:
                said = self.answer(asked)
            answerer.send(said)

    def answer(self, asked: Asked) -> bytes:
        if asked.path == "/login":
            self.log_ins.append(json.loads(asked.body))
            if len(self.log_ins) > self.refuses_from:
                return answer("403 Forbidden", {"detail": "no more of you, token-secret-1"})
            token = f"token-secret-{len(self.log_ins)}"
            self.tokens[token] = self.good_for
            return answer("200 OK", {"access_token": token})
        token = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) <= 0:
            self.unauthorized += 1
            return answer("401 Unauthorized", {"detail": f"{token} is no good"})
        self.tokens[token] -= 1
        self.asked[token] += 1
        return answer("200 OK", {})


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    server = LittleHttp(door.behave)
    door.target = server.target  # type: ignore[attr-defined]  # a test's own
    yield door
    server.close()


LOGIN = {
    "request": {"method": "POST", "path": "/login", "json": {"user": "{user.email}", "n": "{item}"}},
    "capture": {"token": {"json": "$.access_token"}},
}


def ran(engine: str, door: Door, **more: Any) -> Ran:
    workload: dict[str, Any] = {
        "driver": "http",
        "target": "api",
        "engine": engine,
        "keys": None,
        "login": LOGIN,
        "feeds": {"user": {"columns": USERS}},
        "parameters": {"item": {"count": 1000}},
        "headers": {"Authorization": "Bearer {token}"},
        "lanes": LANES,
        "pool": LANES,
        "operations": {
            "read": {"request": {"path": "/"}},
            "twice": {"steps": [{"request": {"path": "/"}}] * 2},
        },
        "rate": "200/s",
        "phases": {"steady": "400ms"},
    }
    plan = plan_of(**(workload | more))
    target = door.target  # type: ignore[attr-defined]  # a test's own
    return run(client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target))


def outcomes(found: Ran) -> dict[Outcome, int]:
    """Of arrivals; the last row is that of log-ins."""
    return {outcome: int(count) for outcome in Outcome if (count := found.result.tallies[:2, outcome].sum())}


@pytest.mark.parametrize("engine", ENGINES)
def test_each_lane_logs_in_once_as_the_user_of_its_number(door: Door, engine: str) -> None:
    found = ran(engine, door)
    assert outcomes(found) == {OK: 80}
    assert sorted(one["user"] for one in door.log_ins) == USERS["email"]
    assert all(0 <= one["n"] < 1000 for one in door.log_ins)
    assert len(door.asked) == LANES, "each asks with a token of its own"
    assert found.result.tallies[-1, OK] == LANES
    assert found.result.answers[len(found.result.tallies) - 1].statuses == {200: LANES}
    assert found.result.counters["log_ins"] == LANES
    assert [one for one in found.result.anomalies if one[0] != "generator_stalled"] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_token_that_has_expired_is_renewed_and_the_run_says_so(door: Door, engine: str) -> None:
    door.good_for = 10
    found = ran(engine, door)
    assert door.unauthorized > 0
    assert outcomes(found) == {OK: 80}, "a request that is refused for its log-in is sent once more"
    steps = found.result.tallies[2:4]
    read = found.result.answers[0].statuses
    assert steps[:, ERROR].sum() + read.get(401, 0) == door.unauthorized, "what was refused is counted"
    assert len(door.log_ins) == LANES + door.unauthorized
    assert found.result.counters["log_ins"] == len(door.log_ins)
    ((code, severity, text),) = [one for one in found.result.anomalies if one[0] == "logged_in_again"]
    assert (code, severity) == ("logged_in_again", "note")
    assert f"{len(door.log_ins)} log-ins in all" in text
    assert not found.result.errors
    assert found.result.counters["lost_connections"] == 0, "it is we who leave"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_request_is_sent_once_more_only(door: Door, engine: str) -> None:
    door.good_for = 0
    found = ran(engine, door, rate="50/s")
    assert outcomes(found) == {ERROR: 20}
    assert door.unauthorized == 40
    assert {error.text for error in found.result.errors} == {"HTTP 401"}
    assert sum(error.count for error in found.result.errors) == 20


class Shop(Door):
    """Carts of which each is shown to the user alone who has made it."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, str] = {}
        self.carts: list[str] = []
        self.shown = 0

    def answer(self, asked: Asked) -> bytes:
        said = super().answer(asked)
        if asked.path == "/login":
            self.users[f"token-secret-{len(self.log_ins)}"] = self.log_ins[-1]["user"]
            return said
        if not said.startswith(b"HTTP/1.1 200"):
            return said
        user = self.users[asked.headers["Authorization"].removeprefix("Bearer ")]
        if asked.method == "POST":
            self.carts.append(user)
            return answer("200 OK", {"id": len(self.carts) - 1})
        if self.carts[int(asked.path.rpartition("/")[2])] != user:
            return answer("403 Forbidden", {"detail": "not yours"})
        self.shown += 1
        return answer("200 OK", {})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_log_in_that_expires_within_a_journey_is_renewed_as_the_same_user(engine: str) -> None:
    shop = Shop()
    shop.good_for = 7
    server = LittleHttp(shop.behave)
    shop.target = server.target  # type: ignore[attr-defined]  # a test's own
    steps = [
        {"request": {"method": "POST", "path": "/carts"}, "capture": {"cart": {"json": "$.id"}}},
        *([{"request": {"path": "/carts/{cart}"}}] * 3),
    ]
    try:
        found = ran(engine, shop, operations={"visit": {"steps": steps}})
    finally:
        server.close()
    assert shop.unauthorized > 0
    assert {outcome: int(count) for outcome, count in enumerate(found.result.tallies[0]) if count} == {OK: 80}
    assert (len(shop.carts), shop.shown) == (80, 240), "no step was carried out twice"
    assert not found.result.errors


@pytest.mark.parametrize("engine", ENGINES)
def test_captured_tokens_stand_in_no_text(door: Door, engine: str) -> None:
    door.good_for = 0
    found = ran(engine, door)
    bodies = {error.body for error in found.result.errors}
    assert bodies
    assert all(body is not None and body.endswith('is no good"}') for body in bodies)
    assert "token-secret" not in repr(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lane_logs_in_again_with_its_next_connection(door: Door, engine: str) -> None:
    door.drops_after = 15
    found = ran(engine, door)
    assert found.result.counters["lost_connections"] > 0
    assert len(door.log_ins) > LANES
    assert {one["user"] for one in door.log_ins} == set(USERS["email"])
    assert door.unauthorized == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("login", "said"),
    [
        (LOGIN | {"request": {"path": "/elsewhere"}}, "HTTP 401"),
        (LOGIN | {"capture": {"token": {"json": "$.token"}}}, "nothing to capture: token"),
    ],
)
def test_a_log_in_that_fails_at_the_start_ends_the_run_with_the_reason(
    door: Door, engine: str, login: dict[str, Any], said: str
) -> None:
    with pytest.raises(TargetError, match=said) as failed:
        ran(engine, door, login=login)
    assert "log-in" in str(failed.value)
    assert "token-secret" not in str(failed.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lane_that_is_refused_during_the_run_is_reported(door: Door, engine: str) -> None:
    door.good_for, door.refuses_from = 10, LANES + 1
    found = ran(engine, door, deadline="500ms")
    assert set(outcomes(found)) >= {OK, ERROR}
    said = repr(found.result.anomalies) + repr(found.result.errors)
    assert "HTTP 403" in said
    assert "no more of you" in said
    assert "token-secret" not in said
    assert 0 < found.result.counters["log_ins_refused"] <= len(door.log_ins) - LANES - 1
