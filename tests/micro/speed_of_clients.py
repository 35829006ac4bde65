"""What one operation costs the process that makes it through a client library: CPU time, not waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvloop

from bench.stack.stack import Stack, open_stack

OPERATIONS = 200
ROUNDS = 15
WIDE = 2.5
"""Whether an answer is there before or after the loop went to sleep makes a factor of three."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REDIS_URL", "DATABASE_URL", "API_URL"):
            patch.delenv(name, raising=False)
        with open_stack("embedded", {"redis", "postgres", "api"}, tmp_path_factory.mktemp("logs")) as one:
            yield one


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    one = uvloop.new_event_loop()
    yield one
    one.close()


def measured(
    measure: Callable[..., None], loop: asyncio.AbstractEventLoop, operation: Callable[[], Awaitable[object]]
) -> None:
    async def several() -> None:
        for _ in range(OPERATIONS):
            await operation()

    measure(
        lambda: loop.run_until_complete(several()),
        OPERATIONS,
        "operation",
        interpreted=True,
        timer=time.process_time,
        rounds=ROUNDS,
        wide=WIDE,
    )


def test_a_get_through_redis_py(
    measure: Callable[..., None], loop: asyncio.AbstractEventLoop, stack: Stack
) -> None:
    import redis.asyncio

    target = stack.targets()["redis"]
    client = redis.asyncio.Redis(
        host=target.host, port=target.port, username=target.username, password=target.password
    )
    loop.run_until_complete(client.set("micro", "x" * 128))
    try:
        measured(measure, loop, lambda: client.get("micro"))
    finally:
        loop.run_until_complete(client.delete("micro"))
        loop.run_until_complete(client.aclose())


def test_a_select_through_asyncpg(
    measure: Callable[..., None], loop: asyncio.AbstractEventLoop, stack: Stack
) -> None:
    import asyncpg

    target = stack.targets()["postgres"]

    async def connected() -> asyncpg.Connection:
        return await asyncpg.connect(
            host=target.host,
            port=target.port,
            user=target.username,
            password=target.password,
            database=target.database or None,
        )

    connection = loop.run_until_complete(connected())
    try:
        measured(measure, loop, lambda: connection.fetchval("SELECT $1::int", 42))
    finally:
        loop.run_until_complete(connection.close())


def test_a_get_through_aiohttp(
    measure: Callable[..., None], loop: asyncio.AbstractEventLoop, stack: Stack
) -> None:
    import aiohttp

    url = f"{stack.targets()['api'].url}/health"

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    session = loop.run_until_complete(opened())

    async def get() -> None:
        async with session.get(url) as answer:
            assert answer.status == 200
            await answer.read()

    try:
        measured(measure, loop, get)
    finally:
        loop.run_until_complete(session.close())
