"""Items in Redis: a copy that is good for a short time, and one that is good enough while Postgres is
down.

Both copies are the bytes of an answer, made once, where the row is read. A copy carries the row's
revision, and none is ever replaced by an older one: a reader that was slow on its way from Postgres
cannot undo what a writer has written since.
"""

from json import dumps
from typing import Any, NamedTuple, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bench.reference_api.resilience import Bulkhead, ComponentBreaker, Deadline, UnavailableError
from bench.reference_api.settings import Settings
from bench.stack.tls import options_of

COLUMNS = "id, revision, name, price_cents, stock"


class Item(NamedTuple):
    """One row of `items`."""

    id: int
    revision: int
    body: bytes
    """JSON. The revision stands before anything that a client has written: the cache looks for it there."""


def item_of(row: Any) -> Item:
    """From a row with COLUMNS."""
    fields = {column: row[column] for column in ("id", "revision", "name", "price_cents", "stock")}
    return Item(row["id"], row["revision"], dumps(fields, separators=(",", ":")).encode())


FRESH, STALE = "holdfast:api:item:", "holdfast:api:stale:"
FAILURES = (OSError, RedisError)
"""Unreachable, loading, full, or not ours to use: a cache that answers with an error is one to do without."""

KEEP = """
local kept = redis.call('GET', KEYS[2])
local revision = kept and string.match(kept, '"revision":(%d+)')
if revision and tonumber(revision) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if ARGV[4] == '0' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4]) end
return 1
"""


class Cache:
    """Reads and keeps items. Every method raises UnavailableError, never later than its deadline says."""

    def __init__(self, settings: Settings) -> None:
        target = settings.redis
        self.breaker = ComponentBreaker(
            "redis",
            failures=settings.breaker_failures,
            reset_s=settings.breaker_reset_s,
            is_failure=lambda error: isinstance(error, FAILURES),
        )
        self.bulkhead = Bulkhead("redis", settings.redis_pool)
        self.unsettled: set[int] = set()
        """Items that were written while Redis was unreachable. Their copies are not used until it was."""
        self._ttl_ms = int(settings.cache_ttl_s * 1e3)
        self._stale_ttl_ms = max(int(settings.stale_ttl_s * 1e3), self._ttl_ms)
        # The options of a URL are redis-py's own, but for the server's name: it knows the host's only.
        tls = [pair for pair in options_of(target.tls) if pair[0] != "ssl_server_name"] if target.tls else []
        self._pool = ConnectionPool(
            connection_class=SSLConnection if target.tls else Connection,
            **{name: False if value == "false" else value for name, value in tls},  # type: ignore[arg-type]  # all ssl_*
            host=target.host,
            port=target.port,
            username=target.username,
            password=target.password,
            db=target.db,
            max_connections=settings.redis_pool + 1,  # the monitor's
            protocol=2,
            # The breaker has the only clock, and every failure is to be seen by it.
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis(connection_pool=self._pool)
        self._keep = self._client.register_script(KEEP)

    async def fresh(self, item_id: int, deadline: Deadline) -> bytes | None:
        """The copy that stands for the row, or None."""
        return await self._get(f"{FRESH}{item_id}", deadline)

    async def stale(self, item_id: int, deadline: Deadline) -> bytes | None:
        """The copy that the row once was, or None."""
        return await self._get(f"{STALE}{item_id}", deadline)

    async def fill(self, item: Item, deadline: Deadline) -> None:
        """Keep what was read from Postgres."""
        await self._put(item, self._ttl_ms, deadline)

    async def invalidate(self, item: Item, deadline: Deadline) -> None:
        """The row was written: the next read goes to Postgres, and a stale copy is no older than this.

        Raises no UnavailableError: while Redis is unreachable, the item is distrusted.
        """
        try:
            await self._put(item, 0, deadline)
        except BaseException as error:  # a cancellation too: it may not have got there
            self.distrust(item.id)
            if not isinstance(error, UnavailableError):
                raise

    def distrust(self, item_id: int) -> None:
        """The item may have been written: its copies are not used until they have been removed."""
        self.unsettled.add(item_id)

    def is_trusted(self, item_id: int) -> bool:
        """Whether the item's copies may be used."""
        return item_id not in self.unsettled

    async def ping(self) -> None:
        """A round trip, and afterwards nothing is unsettled."""
        await self._client.ping()
        while self.unsettled:
            some = list(self.unsettled)[:500]
            await self._client.unlink(*(f"{kind}{item_id}" for item_id in some for kind in (FRESH, STALE)))
            self.unsettled.difference_update(some)

    async def renew(self) -> None:
        """Drop idle connections: they may lead to a server that is no more, and nothing would tell of it."""
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.disconnect()

    async def _get(self, key: str, deadline: Deadline) -> bytes | None:
        end_s = deadline.cache_end_s()
        await self.bulkhead.take(end_s)
        try:
            return cast(
                "bytes | None", await self.breaker.call(end_s, self._client.execute_command, "GET", key)
            )
        finally:
            self.bulkhead.give()

    async def _put(self, item: Item, ttl_ms: int, deadline: Deadline) -> None:
        end_s = deadline.cache_end_s()
        keys = [f"{FRESH}{item.id}", f"{STALE}{item.id}"]
        values: list[Any] = [item.revision, item.body, self._stale_ttl_ms, ttl_ms]
        await self.bulkhead.take(end_s)
        try:
            await self.breaker.call(end_s, self._keep, keys, values)
        finally:
            self.bulkhead.give()
