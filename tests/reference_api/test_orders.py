"""Orders: both the stock and the order or neither, and once for each key."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from bench.reference_api.database import Database
from bench.reference_api.resilience import Deadline, OutcomeUnknownError, UnavailableError
from bench.reference_api.settings import read_settings
from tests.reference_api.api_process import PATIENT_MS, Api, Servers


def rows(servers: Servers, statement: str, *values: Any) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(servers.environment["DATABASE_URL"])
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    return asyncio.run(fetch())


UNEQUAL = """
SELECT id, stocked, stock, coalesce(ordered, 0) AS ordered FROM holdfast_api.items
LEFT JOIN (SELECT item_id, sum(quantity) AS ordered FROM holdfast_api.orders GROUP BY item_id) AS sums
ON item_id = id WHERE stocked <> stock + coalesce(ordered, 0)
"""


def orders_of(servers: Servers, item: int) -> int:
    return len(rows(servers, "SELECT FROM holdfast_api.orders WHERE item_id = $1", item))


def test_an_order_takes_from_the_stock_and_can_be_read_back(api: Api) -> None:
    before = api.get("/items/21").json
    answer = api.order(21, 3)
    assert answer.status == 201
    assert answer.json["total_cents"] == 3 * before["price_cents"]
    after = api.get("/items/21").json
    assert after["stock"] == before["stock"] - 3
    assert api.get(f"/orders/{answer.json['id']}").json == answer.json


def test_the_same_key_again_gives_the_same_answer(api: Api, servers: Servers) -> None:
    first = api.order(22, 2, "again")
    second = api.order(22, 2, "again")
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert orders_of(servers, 22) == 1


def test_the_key_may_stand_in_the_body(api: Api) -> None:
    body = {"item": 23, "quantity": 1, "customer": "bob", "idempotency_key": "in the body"}
    assert api.ask("POST", "/orders", body).status == 201
    assert api.ask("POST", "/orders", body).status == 200
    assert api.order(23, 1, "in the body", "bob").status == 200


@pytest.mark.parametrize(
    "other", [{"quantity": 2}, {"item": 25}, {"customer": "eve"}, {"item": 999999999}], ids=str
)
def test_another_order_under_the_same_key_is_422(api: Api, other: dict[str, Any]) -> None:
    wish = {"item": 24, "quantity": 1, "customer": "ann"}
    headers = {"Idempotency-Key": "taken"}
    assert api.ask("POST", "/orders", wish, headers).status in (200, 201)
    answer = api.ask("POST", "/orders", wish | other, headers)
    assert answer.status == 422
    assert "key" in answer.json["detail"]


def test_twenty_at_once_with_one_key_are_one_order(api: Api, servers: Servers) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: api.order(26, 5, "twenty"), range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.body for answer in answers}) == 1
    assert orders_of(servers, 26) == 1


def test_an_unknown_item_is_404_and_leaves_no_order(api: Api, servers: Servers) -> None:
    assert api.order(999999999, 1, "unknown").status == 404
    assert not rows(servers, "SELECT FROM holdfast_api.orders WHERE idempotency_key = 'unknown'")


def test_out_of_stock_is_409_and_the_key_can_be_used_later(api: Api) -> None:
    api.ask("PUT", "/items/27", {"name": "Rare", "price_cents": 1, "stock": 3})
    assert api.order(27, 4, "rare").status == 409
    assert api.get("/items/27").json["stock"] == 3
    api.ask("PUT", "/items/27", {"name": "Rare", "price_cents": 1, "stock": 4})
    assert api.order(27, 4, "rare").status == 201
    assert api.get("/items/27").json["stock"] == 0


def test_no_more_is_sold_than_there_is_whoever_asks_at_once(api: Api, servers: Servers) -> None:
    api.ask("PUT", "/items/28", {"name": "Rare", "price_cents": 1, "stock": 10})
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.order(28), range(40)))
    assert sorted(answer.status for answer in answers) == [201] * 10 + [409] * 30
    assert orders_of(servers, 28) == 10


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"item": 1, "quantity": 0, "customer": "a"},
        {"item": 1, "quantity": 10**9, "customer": "a"},
        {"item": 2**63, "quantity": 1, "customer": "a"},
        {"item": 1, "quantity": 1, "customer": ""},
        {"item": 1, "quantity": 1, "customer": "a\0"},
        {"item": 1, "quantity": 1, "customer": "a", "idempotency_key": ""},
    ],
    ids=str,
)
def test_an_order_that_makes_no_sense_is_422(api: Api, wish: dict[str, Any]) -> None:
    answer = api.ask("POST", "/orders", wish)
    assert answer.status == 422
    assert answer.json["detail"]


def test_an_unknown_order_is_404(api: Api) -> None:
    assert api.get("/orders/999999999").status == 404


def test_two_transactions_that_lock_crosswise_both_end_well(servers: Servers) -> None:
    """Postgres breaks one of them off after a second; that one is tried again."""

    async def both() -> list[int]:
        database = Database(read_settings(servers.environment | {"API_DEADLINE_MS": str(PATIENT_MS)}))
        await database.prepare()
        meeting = asyncio.Barrier(2)
        attempts = [0, 0]

        async def lock(number: int) -> None:
            async def body(connection: Any) -> None:
                attempts[number] += 1
                for step, item in enumerate((101 + number, 102 - number)):
                    statement = "SELECT FROM holdfast_api.items WHERE id = $1 FOR UPDATE"
                    await connection.fetchrow(statement, item)
                    if step == 0 and attempts[number] == 1:
                        await meeting.wait()

            await database.transaction(body, Deadline(20.0))

        await asyncio.gather(lock(0), lock(1))
        await database.close()
        return attempts

    attempts = asyncio.run(both())
    assert min(attempts) >= 1
    assert max(attempts) >= 2


def test_what_was_taken_is_what_was_ordered(api: Api, servers: Servers) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: api.order(30 + n % 3, 1 + n % 4, f"sum {n // 2}"), range(100)))
    assert rows(servers, UNEQUAL) == []
    assert rows(servers, "SELECT FROM holdfast_api.orders WHERE idempotency_key LIKE 'sum %'")


def test_a_commit_that_is_not_answered_may_have_been_done_and_the_key_tells(servers: Servers) -> None:
    """Between BEGIN and COMMIT a failure is a plain one; while COMMIT hangs nobody knows."""

    async def outcomes() -> list[type[Exception]]:
        settings = read_settings(servers.environment | {"API_DEADLINE_MS": "2000"})
        database = Database(settings)
        await database.prepare()
        found: list[type[Exception]] = []
        for when in ("body", "commit"):
            with contextlib.ExitStack() as cleanup:

                async def body(connection: Any, when: str = when, cleanup: Any = cleanup) -> None:
                    await connection.execute("SELECT txid_current()")
                    cleanup.enter_context(servers.stopped("postgres"))
                    if when == "body":
                        await connection.execute("SELECT 1")

                try:
                    await database.transaction(body, Deadline(2.0))
                except UnavailableError as error:
                    found.append(type(error))
        await database.close()
        return found

    assert asyncio.run(outcomes()) == [UnavailableError, OutcomeUnknownError]
