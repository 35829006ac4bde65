"""Redis, Postgres or both unreachable, killed or hanging: answers get worse, but come; then all is well."""

import contextlib
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from bench.reference_api.cache import FRESH
from tests.helpers.waiting import eventually
from tests.reference_api.api_process import SHORT_MS, SHORT_S, SLACK_S, Answer, Api, Servers

ENVIRONMENT = {"API_DEADLINE_MS": str(SHORT_MS)}
HOWS = ["killed", "stopped"]


def unreachable(servers: Servers, how: str, *names: str) -> contextlib.AbstractContextManager[None]:
    return servers.killed(*names) if how == "killed" else servers.stopped(*names)


def until_open(api: Api, name: str) -> list[Answer]:
    """Ask for items until the component's circuit is no longer closed; what was answered meanwhile."""
    answers: list[Answer] = []

    def is_open() -> bool:
        answers.append(api.get("/items/41"))
        return bool(api.component(name)["breaker"] != "closed")

    eventually(is_open, "the circuit has opened")
    return answers


@pytest.mark.parametrize("how", HOWS)
def test_without_redis_reads_go_to_postgres_and_the_circuit_opens_and_closes(
    api: Api, servers: Servers, how: str
) -> None:
    api.get("/items/41")
    with unreachable(servers, how, "redis"):
        answers = until_open(api, "redis")
        assert {answer.status for answer in answers} == {200}
        assert answers[-1].cache == "bypass"
        assert max(answer.took_s for answer in answers) < SHORT_S + SLACK_S
        health = api.get("/health")
        assert (health.status, health.json["status"]) == (200, "degraded")
        assert health.json["components"]["redis"]["state"] == "down"
        assert health.json["components"]["postgres"]["state"] == "up"
        later = [api.get("/items/41") for _ in range(15)]
        assert {(answer.status, answer.cache) for answer in later} == {(200, "bypass")}
        # Nobody waits for Redis any more: a wait would be a fifth of the deadline.
        assert statistics.median(answer.took_s for answer in later) < SHORT_S / 5
        assert api.order(41).status == 201
    api.until_up()
    eventually(lambda: api.get("/items/41").cache == "hit", "it comes from the cache")
    assert api.metric("breaker_transitions_total", component="redis", to="closed") >= 1
    assert api.metric("breaker_open_seconds_total", component="redis") > 0


@pytest.mark.parametrize("how", HOWS)
def test_without_postgres_reads_are_served_and_all_else_is_503(api: Api, servers: Servers, how: str) -> None:
    fresh, old = api.get("/items/42"), api.get("/items/43")
    never_read = 198 + HOWS.index(how)
    with redis.Redis.from_url(servers.environment["REDIS_URL"]) as store:
        store.delete(f"{FRESH}43")  # as if it had expired
        store.persist(f"{FRESH}42")  # and as if no time went by for this one, however slow the machine is
    with unreachable(servers, how, "postgres"):
        eventually(lambda: api.get("/items/43").cache == "stale", "a stale answer")
        until_open(api, "postgres")
        stale, hit = api.get("/items/43"), api.get("/items/42")
        assert (stale.status, stale.cache, stale.body) == (200, "stale", old.body)
        assert (hit.status, hit.cache, hit.body) == (200, "hit", fresh.body)
        for answer in (
            api.get(f"/items/{never_read}"),
            api.get("/items"),
            api.get("/orders/1"),
            api.order(42, 1, f"away {how}"),
            api.ask("PUT", "/items/44", {"name": "x", "price_cents": 1}),
        ):
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert "postgres is unavailable" in answer.json["detail"]
            assert answer.took_s < SHORT_S + SLACK_S
        # Writes that were refused are no reason to do without the copies.
        assert api.metric("cache_unsettled_items") == 0
        assert api.get("/items/42").cache == "hit"
        health = api.get("/health")
        assert (health.status, health.json["status"]) == (200, "degraded")
        assert health.json["components"]["postgres"]["state"] == "down"
    with redis.Redis.from_url(servers.environment["REDIS_URL"]) as store:
        store.delete(f"{FRESH}42")
    api.until_up()
    eventually(lambda: api.get("/items/43").cache in ("miss", "hit"), "the cache works again")
    assert api.order(42, 1, f"away {how}").status == 201
    assert api.get(f"/items/{never_read}").status == 200


@pytest.mark.parametrize("how", HOWS)
def test_without_both_everything_is_503_within_the_deadline(api: Api, servers: Servers, how: str) -> None:
    with unreachable(servers, how, "redis", "postgres"), ThreadPoolExecutor(20) as pool:
        paths = ["/items/41", "/items", "/orders/1"] * 20
        answers = list(pool.map(api.get, paths))
        answers += [api.order(41) for _ in range(3)]
        assert {answer.status for answer in answers} == {503}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        assert max(answer.took_s for answer in answers) < SHORT_S + SLACK_S
        eventually(lambda: api.get("/health").status == 503, "it reports that it is down")
        health = api.get("/health")
        assert health.json["status"] == "down"
        assert {one["state"] for one in health.json["components"].values()} == {"down"}
        assert all(one["because"] for one in health.json["components"].values())
        assert api.get("/metrics").status == 200
    api.until_up()
    assert api.get("/items/41").status == 200
    assert api.order(41).status == 201


def test_a_write_while_redis_hangs_is_not_hidden_by_the_copy_that_redis_still_has(
    api: Api, servers: Servers
) -> None:
    api.get("/items/45")
    assert api.get("/items/45").cache == "hit"
    with servers.stopped("redis"):
        written = api.ask("PUT", "/items/45", {"name": "New", "price_cents": 7})
        assert written.status == 200
        read = api.get("/items/45")
        assert (read.cache, read.json) == ("bypass", written.json)
        assert api.metric("cache_unsettled_items") >= 1
    eventually(lambda: api.metric("cache_unsettled_items") == 0, "all items are settled")
    assert api.get("/items/45").json == written.json


def test_postgres_killed_and_restarted_under_load_leaves_no_dead_connections(
    start_api: Callable[..., Api], servers: Servers
) -> None:
    api = start_api()
    api.until_up()
    before = servers.pid("postgres")
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: api.get("/items?limit=5"), range(60)))  # the pool is full
        with servers.killed("postgres"):
            pass  # who starts it again goes on at once
        answers = list(pool.map(lambda n: api.order(46, 1, f"restart {n}"), range(60)))
        assert {answer.status for answer in answers} <= {201, 503}
        api.until_up()
        # The same keys again: what was placed is not placed twice, and the rest is placed now.
        again = list(pool.map(lambda n: api.order(46, 1, f"restart {n}"), range(60)))
    assert servers.pid("postgres") != before
    assert {answer.status for answer in again} <= {200, 201}
    for first, second in zip(answers, again, strict=True):
        if first.status == 201:
            assert (second.status, second.body) == (200, first.body)
    ids = {answer.json["id"] for answer in again}
    assert len(ids) == 60
    stock = api.get("/items/46").json["stock"]
    assert stock == 1_000_000 - 60


def test_it_starts_without_redis_and_postgres_and_is_well_when_they_come(
    servers: Servers, start_api: Callable[..., Api]
) -> None:
    with servers.killed("redis", "postgres"):
        api = start_api()
        eventually(lambda: api.get("/health").status == 503, "it reports that it is down")
        answer = api.get("/items/47")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
    api.until_up()
    assert api.get("/items/47").status == 200
    assert "Traceback" not in api.close()


def test_a_schema_that_was_dropped_is_made_again(servers: Servers, start_api: Callable[..., Api]) -> None:
    import asyncio

    import asyncpg

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(servers.environment["DATABASE_URL"])
        await connection.execute(statement)
        await connection.close()

    api = start_api()
    api.until_up()
    other = "holdfast_api_elsewhere"
    asyncio.run(run(f"ALTER SCHEMA holdfast_api RENAME TO {other}"))
    try:
        assert api.get("/orders/1").status == 503
        eventually(lambda: api.get("/items?limit=1").status == 200, "it answers again")
        assert api.order(48).json["id"] == 1
    finally:
        asyncio.run(run("DROP SCHEMA IF EXISTS holdfast_api CASCADE"))
        asyncio.run(run(f"ALTER SCHEMA {other} RENAME TO holdfast_api"))
