"""`/items`: read one through the cache, list them, write one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.deadline_middleware import deadline_of
from bench.reference_api.item import COLUMNS, Item, item_of
from bench.reference_api.metrics import Metrics
from bench.reference_api.refusals import Away, MaybeDone, Refused
from bench.reference_api.responses import json_bytes
from bench.reference_api.schema import REVISION

MOST_BIGINT = 2**63 - 1
MOST_INTEGER = 2**31 - 1
MOST_STOCK = 10**12
PAGE = 20
MOST_A_PAGE = 200

SELECT_ONE = f"SELECT {COLUMNS} FROM holdfast_api.items WHERE id = $1"  # noqa: S608 - our own words
SELECT_PAGE = f"SELECT {COLUMNS} FROM holdfast_api.items WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - as above
UPDATE = f"""
UPDATE holdfast_api.items SET revision = greatest(revision + 1, {REVISION}), name = $2, price_cents = $3,
    stock = coalesce($4, stock), stocked = stocked + coalesce($4 - stock, 0)
WHERE id = $1 RETURNING {COLUMNS}
"""  # noqa: S608 - as above

ItemId = Annotated[int, Path(ge=0, le=MOST_BIGINT, description="Leading zeros are ignored.")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class ItemWrite(BaseModel):
    """What an item is to be."""

    model_config = ConfigDict(extra="forbid")

    name: Text
    price_cents: int = Field(ge=0, le=MOST_INTEGER)
    stock: int | None = Field(None, ge=0, le=MOST_STOCK, description="Left as it is when not given.")


def items_router(cache: Cache, database: Database, metrics: Metrics) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["items"])

    async def read_through(item_id: int, request: Request) -> tuple[bytes, str]:
        """(body, hit | miss | stale | bypass). Raises Away, or Refused when there is no such item."""
        deadline = deadline_of(request)
        found = "miss" if cache.is_trusted(item_id) else "bypass"
        if found == "miss":
            try:
                body = await cache.fresh(item_id, deadline)
            except Away:
                found = "bypass"
            else:
                if body is not None:
                    return body, "hit"
        try:
            row = await database.query(lambda connection: connection.fetchrow(SELECT_ONE, item_id), deadline)
        except Away as away:
            if found == "miss" and (body := await _stale(cache, item_id, request)) is not None:
                return body, "stale"
            raise away from None
        if row is None:
            raise Refused(404, f"there is no item {item_id}")
        item = item_of(row)
        if found == "miss" and cache.is_trusted(item_id):
            try:
                await cache.fill(item, deadline)
            except Away:
                found = "bypass"
        return item.body, found

    @router.get("/items/{item_id}", summary="Read an item, from the cache if it is there")
    async def read_item(item_id: ItemId, request: Request) -> Response:
        body, found = await read_through(item_id, request)
        metrics.cache_reads[found] += 1
        return json_bytes(body, headers={"X-Cache": found})

    @router.get("/items", summary="List items in the order of their ids, a page at a time")
    async def list_items(
        request: Request,
        after: Annotated[int, Query(ge=0, le=MOST_BIGINT, description="The last id of the page before.")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = PAGE,
    ) -> Response:
        rows: list[Any] = await database.query(
            lambda connection: connection.fetch(SELECT_PAGE, after, limit), deadline_of(request)
        )
        items = [item_of(row) for row in rows]
        following = b"%d" % items[-1].id if len(items) == limit else b"null"
        return json_bytes(
            b'{"items":[%s],"next_after":%s}' % (b",".join(one.body for one in items), following)
        )

    @router.put("/items/{item_id}", summary="Write an item; the cached copies are dropped")
    async def write_item(item_id: ItemId, wanted: ItemWrite, request: Request) -> Response:
        deadline = deadline_of(request)
        values = (item_id, wanted.name, wanted.price_cents, wanted.stock)
        try:
            row = await database.transaction(
                lambda connection: connection.fetchrow(UPDATE, *values), deadline
            )
        except MaybeDone:
            cache.distrust(item_id)
            raise
        if row is None:
            raise Refused(404, f"there is no item {item_id}")
        item: Item = item_of(row)
        await cache.invalidate(item, deadline)
        return json_bytes(item.body)

    return router


async def _stale(cache: Cache, item_id: int, request: Request) -> bytes | None:
    try:
        return await cache.stale(item_id, deadline_of(request))
    except Away:
        return None
