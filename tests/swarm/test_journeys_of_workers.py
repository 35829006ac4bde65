"""A journey that workers share: the application's own log has every step once, and no row of a feed twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.outcome import Outcome
from bench.results.reader import Run
from bench.stack.external import ExternalStack
from tests.helpers.http_server import Answerer, LittleHttp
from tests.parity.test_journeys import answer
from tests.swarm.hosts_in_threads import findings_of, run_of, swarm

pytestmark = pytest.mark.usefixtures("short_lead")
ROWS = 400
SCENARIO = """\
scenario: visits
purpose: Every card is charged once, whoever makes the load
workloads:
  - name: shop
    target: api
    driver: http
    engine: {engine}
    {lanes}
    login:
      request: {{method: POST, path: /login, json: {{user: "{{user.email}}"}}}}
      capture: {{token: {{json: $.token}}}}
    feeds:
      user: {{file: users.csv, order: sequential}}
      card: {{file: cards.csv, order: unique}}
    headers: {{Authorization: "Bearer {{token}}"}}
    operations:
      buy:
        steps:
          - request: {{method: POST, path: /carts, json: {{card: "{{card.number}}"}}}}
            capture: {{cart: {{json: $.id}}}}
          - request: {{method: POST, path: "/carts/{{cart}}/pay", json: {{card: "{{card.number}}"}}}}
    arrivals: poisson
    rate: 300/s
    deadline: 5s
phases:
  - {{name: warmup, for: 200ms, measured: false}}
  - {{name: steady, for: 600ms}}
sla:
  - shop.errors < 5%
"""
LANES = {"wire": "lanes: 8\n    threads: 2", "client": "pool: 8"}


class Shop:
    """Writes down what it is asked; the card and the user of a cart must be those who pay for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.log: list[tuple[str, str]] = []
        self.users: list[str] = []
        self.carts: list[tuple[str, str]] = []
        self.http = LittleHttp(self._serve)

    def _serve(self, answerer: Answerer) -> None:
        for asked in answerer.requests():
            if asked.method == "GET":
                answerer.send(answer("200 OK", {}))  # to the probe
                continue
            body = json.loads(asked.body)
            token = asked.headers.get("Authorization", "").removeprefix("Bearer ")
            with self.lock:
                said = self._answer(asked.path, token, body)
            answerer.send(said)

    def _answer(self, path: str, token: str, body: dict[str, str]) -> bytes:
        if path == "/login":
            self.users.append(body["user"])
            return answer("200 OK", {"token": f"t{len(self.users) - 1}"})
        user = self.users[int(token[1:])]
        if path == "/carts":
            self.carts.append((user, body["card"]))
            self.log.append(("cart", body["card"]))
            return answer("201 Created", {"id": len(self.carts) - 1})
        if self.carts[int(path.split("/")[2])] != (user, body["card"]):
            return answer("409 Conflict", {})
        self.log.append(("paid", body["card"]))
        return answer("200 OK", {})


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.http.close()


def visits(folder: Path, shop: Shop, engine: str, workers: int | None) -> Run:
    folder.mkdir(parents=True)
    (folder / "users.csv").write_text("email\n" + "".join(f"u{n}@example.com\n" for n in range(8)))
    (folder / "cards.csv").write_text("number\n" + "".join(f"card-{n}\n" for n in range(ROWS)))
    text = SCENARIO.format(engine=engine, lanes=LANES[engine])
    with ExternalStack({"api"}, {"api": shop.http.target}) as stack:
        if workers is None:
            return run_of(folder, stack, text, None)
        with swarm(folder / "swarm", workers) as made:
            run = run_of(folder, stack, text, made)
        parts = [one.workloads["shop"] for one in run.record.workers if "shop" in one.workloads]
        # A pool is one process's, so the client engine's workload goes to one worker as a whole.
        count = workers if engine == "wire" else 1
        assert parts == [[number + 1, count] for number in range(count)]
        return run


@pytest.mark.parametrize(
    ("engine", "workers"),
    [
        ("wire", 2),
        ("client", 2),
        pytest.param("wire", None, marks=pytest.mark.long),
        pytest.param("client", None, marks=pytest.mark.long),
        pytest.param("wire", 4, marks=pytest.mark.long),
    ],
)
def test_every_step_is_in_the_applications_log_once_and_no_card_twice(
    tmp_path: Path, shop: Shop, engine: str, workers: int | None
) -> None:
    run = visits(tmp_path / "run", shop, engine, workers)
    planned = run.record.totals.planned
    outcomes = {name: count for name, count in run.record.totals.outcomes.items() if count}
    assert outcomes == {Outcome.OK.name.lower(): planned}
    assert planned > 150
    asked = Counter(shop.log)
    assert set(asked.values()) == {1}, "a row of a unique feed is used once"
    assert Counter(kind for kind, _ in shop.log) == {"cart": planned, "paid": planned}
    assert {card for kind, card in asked if kind == "cart"} == {f"card-{n}" for n in range(planned)}
    assert sorted(shop.users) == [f"u{n}@example.com" for n in range(8)], "each lane is a user of its own"
    assert {"sums", "worker_lost"}.isdisjoint(findings_of(run))
