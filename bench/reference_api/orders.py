"""`/orders`: take from the stock and write the order, both or neither, and once for each idempotency key."""

from json import dumps
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.deadline_middleware import deadline_of
from bench.reference_api.item import COLUMNS, Item, item_of
from bench.reference_api.items import MOST_BIGINT, Text
from bench.reference_api.refusals import MaybeDone, Refused
from bench.reference_api.responses import json_bytes
from bench.reference_api.schema import REVISION

ORDER = "id, item_id, quantity, customer, price_cents, placed_at"
# The order first: whoever comes second with a key waits here, before the item's row is locked.
INSERT = f"""
INSERT INTO holdfast_api.orders (idempotency_key, item_id, quantity, customer, price_cents)
SELECT $1, id, $3, $4, price_cents FROM holdfast_api.items WHERE id = $2
ON CONFLICT (idempotency_key) DO NOTHING RETURNING {ORDER}
"""  # noqa: S608 - our own words
TAKE = f"""
UPDATE holdfast_api.items SET stock = stock - $2, revision = greatest(revision + 1, {REVISION})
WHERE id = $1 AND stock >= $2 RETURNING {COLUMNS}
"""  # noqa: S608 - as above
SELECT_BY_KEY = f"SELECT {ORDER} FROM holdfast_api.orders WHERE idempotency_key = $1"  # noqa: S608 - as above
SELECT_BY_ID = f"SELECT {ORDER} FROM holdfast_api.orders WHERE id = $1"  # noqa: S608 - as above

Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class OrderWish(BaseModel):
    """What is ordered. The key in the header goes before the one in here."""

    model_config = ConfigDict(extra="forbid")

    item: int = Field(ge=0, le=MOST_BIGINT)
    quantity: int = Field(ge=1, le=1_000_000)
    customer: Text
    idempotency_key: Key | None = None


def orders_router(cache: Cache, database: Database) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["orders"])

    @router.post(
        "/orders", summary="Order an item; the same key again gives the same answer", status_code=201
    )
    async def place_order(
        wish: OrderWish, request: Request, idempotency_key: Annotated[Key | None, Header()] = None
    ) -> Response:
        deadline = deadline_of(request)
        key = idempotency_key or wish.idempotency_key
        try:
            order, item = await database.transaction(
                lambda connection: _place(connection, wish, key), deadline
            )
        except MaybeDone:
            cache.distrust(wish.item)
            raise
        if item is None:
            return json_bytes(order, headers={"Idempotency-Replayed": "true"})
        await cache.invalidate(item, deadline)
        return json_bytes(order, 201)

    @router.get("/orders/{order_id}", summary="Read an order")
    async def read_order(order_id: Annotated[int, Path(ge=0, le=MOST_BIGINT)], request: Request) -> Response:
        row = await database.query(
            lambda connection: connection.fetchrow(SELECT_BY_ID, order_id), deadline_of(request)
        )
        if row is None:
            raise Refused(404, f"there is no order {order_id}")
        return json_bytes(_order_bytes(row))

    return router


async def _place(connection: Any, wish: OrderWish, key: str | None) -> tuple[bytes, Item | None]:
    """(the order, the item that was taken from; None: the order was there already). Raises Refused."""
    order = await connection.fetchrow(INSERT, key, wish.item, wish.quantity, wish.customer)
    if order is None:
        earlier = None if key is None else await connection.fetchrow(SELECT_BY_KEY, key)
        if earlier is None:
            raise Refused(404, f"there is no item {wish.item}")
        if (earlier["item_id"], earlier["quantity"], earlier["customer"]) != (
            wish.item,
            wish.quantity,
            wish.customer,
        ):
            raise Refused(422, "this idempotency key was used for another order")
        return _order_bytes(earlier), None
    taken = await connection.fetchrow(TAKE, wish.item, wish.quantity)
    if taken is None:
        raise Refused(409, f"item {wish.item} has fewer than {wish.quantity} in stock")
    return _order_bytes(order), item_of(taken)


def _order_bytes(row: Any) -> bytes:
    fields = {
        "id": row["id"],
        "item": row["item_id"],
        "quantity": row["quantity"],
        "customer": row["customer"],
        "price_cents": row["price_cents"],
        "total_cents": row["price_cents"] * row["quantity"],
        "placed_at": row["placed_at"].isoformat(),
    }
    return dumps(fields, separators=(",", ":")).encode()
