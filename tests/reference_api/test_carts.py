"""The journey of a customer: by hand, and as load whose counts are the API's own, to the unit."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.plan.compile import compile_plan
from bench.plan.plan import Plan
from bench.scenario.load import load_scenario
from bench.scenario.model import Scenario
from bench.stack.target import Target
from tests.helpers.client_runs import Ran, client, run
from tests.reference_api.api_process import Api, Servers
from tests.reference_api.test_orders import UNEQUAL, rows

SAMPLE = Path(__file__).parents[2] / "scenarios" / "api_journey.yaml"
ENVIRONMENT = {"API_TOKEN_S": "0.6"}


def logged_in(api: Api, user: str) -> dict[str, str]:
    answer = api.ask("POST", "/login", {"user": user, "password": user[::-1]})
    assert answer.status == 200
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def test_a_cart_is_filled_and_ordered_by_whom_it_belongs_to(api: Api, servers: Servers) -> None:
    ann = logged_in(api, "ann")
    cart = api.ask("POST", "/carts", headers=ann)
    assert (cart.status, cart.json["count"]) == (201, 0)
    path = cart.headers["location"]
    assert api.ask("POST", f"{path}/order", headers=ann).status == 404, "it is empty"
    for count in (1, 2):
        assert api.ask("POST", f"{path}/items", {"item": 31}, ann).json["count"] == count
    assert api.ask("POST", f"{path}/items", {"item": 99_999}, ann).status == 404
    assert api.ask("POST", f"{path}/items", {"item": 31}, logged_in(api, "bob")).status == 404
    first, again = (api.ask("POST", f"{path}/order", headers=ann) for _ in range(2))
    assert first.status == 201
    assert (first.json["quantity"], first.json["customer"]) == (2, "ann")
    assert again.json == first.json
    assert rows(servers, UNEQUAL) == []


@pytest.mark.parametrize("token", [None, "Bearer x", "Bearer x.y", "Bearer .", "Bearer ä.y"])
def test_nobody_gets_in_without_a_token(api: Api, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    assert api.ask("POST", "/carts", headers=headers).status == 401
    assert api.ask("POST", "/login", {"user": "ann", "password": "ann"}).status == 403


def plan_of(engine: str, **more: Any) -> Plan:
    """The sample's, for a second."""
    scenario = load_scenario(SAMPLE).scenario
    workload = scenario.workloads[0].model_copy(
        update={"engine": engine, "pool": 8, "lanes": 8, "rate_per_s": 40.0, "deadline_ns": 20 * 10**9} | more
    )
    phase = scenario.phases[1].model_copy(update={"duration_ns": 1_200_000_000})
    return compile_plan(Scenario.model_copy(scenario, update={"workloads": (workload,), "phases": (phase,)}))


def ran(plan: Plan, api: Api) -> Ran:
    target = Target("api", "http", "127.0.0.1", api.port)
    is_client = plan.workloads[0].workload.engine == "client"
    return run(client(plan, target) if is_client else WireEngine(plan, plan.workloads[0], target))


def requests(api: Api) -> Counter[tuple[str, int]]:
    """The API's own count, by path and status."""
    return Counter(
        {
            (route, status): int(api.metric("requests_total", method="POST", route=route, status=str(status)))
            for route in ("/login", "/carts", "/carts/{cart_id}/items", "/carts/{cart_id}/order")
            for status in (200, 201, 401)
        }
    )


@pytest.mark.parametrize(("engine", "threads"), [("wire", 1), ("wire", 2), ("client", 1)])
def test_a_runs_counts_are_those_of_the_api_to_the_unit(
    api: Api, servers: Servers, engine: str, threads: int
) -> None:
    """Tokens expire during the run."""
    plan = plan_of(engine, threads=threads)
    before, carts = requests(api), rows(servers, "SELECT count(*) FROM holdfast_api.carts")[0][0]
    found = ran(plan, api)
    result, names = found.result, plan.workloads[0].program.names
    gained = {key: count for key, count in (requests(api) - before).items() if count}
    routes = ("/carts", "/carts/{cart_id}/items", "/carts/{cart_id}/order", "/login")
    counted = {
        (route, status): count
        for route, row in zip(routes, range(1, len(names)), strict=True)
        for status, count in result.answers[row].statuses.items()
    }
    assert counted == gained
    outcomes = {outcome: int(count) for outcome in Outcome if (count := result.tallies[0, outcome])}
    expired = sum(count for (_, status), count in gained.items() if status == 401)
    assert outcomes[Outcome.OK] == gained["/carts/{cart_id}/order", 201]
    # A step that met a token that had expired was sent again with a new one.
    assert set(outcomes) == {Outcome.OK}
    assert expired > 0
    assert any(code == "logged_in_again" for code, *_ in result.anomalies)
    assert result.counters["log_ins"] == gained["/login", 200]
    assert rows(servers, "SELECT count(*) FROM holdfast_api.carts")[0][0] - carts == gained["/carts", 201]
    assert rows(servers, UNEQUAL) == []
