"""The routes of the shop: `/items`, `/orders`, and a customer's journey, `/login` and `/carts`.

An order takes from the stock and is written, both or neither, and once for each idempotency key.

A token is signed rather than stored, so that every instance of the API on a machine knows it. Carts are rows
of Postgres.
"""

import base64
import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from json import dumps
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bench.reference_api.cache import COLUMNS, Cache, Item, item_of
from bench.reference_api.database import REVISION, Database
from bench.reference_api.metrics import Metrics
from bench.reference_api.resilience import OutcomeUnknownError, RejectedError, UnavailableError
from bench.reference_api.responses import deadline_of, json_bytes
from bench.reference_api.settings import Settings

MOST_BIGINT = 2**63 - 1
MOST_INTEGER = 2**31 - 1
MOST_STOCK = 10**12
PAGE = 20
MOST_A_PAGE = 200

SELECT_ITEM = f"SELECT {COLUMNS} FROM holdfast_api.items WHERE id = $1"  # noqa: S608 - our own words
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
        """(body, hit | miss | stale | bypass). Raises UnavailableError; RejectedError for an unknown id."""
        deadline = deadline_of(request)
        found = "miss" if cache.is_trusted(item_id) else "bypass"
        if found == "miss":
            try:
                body = await cache.fresh(item_id, deadline)
            except UnavailableError:
                found = "bypass"
            else:
                if body is not None:
                    return body, "hit"
        try:
            row = await database.query(lambda connection: connection.fetchrow(SELECT_ITEM, item_id), deadline)
        except UnavailableError as error:
            if found == "miss" and (body := await _stale(cache, item_id, request)) is not None:
                return body, "stale"
            raise error from None
        if row is None:
            raise RejectedError(404, f"there is no item {item_id}")
        item = item_of(row)
        if found == "miss" and cache.is_trusted(item_id):
            try:
                await cache.fill(item, deadline)
            except UnavailableError:
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
            b'{"items":[%s],"next_after":%s}' % (b",".join(item.body for item in items), following)
        )

    @router.put("/items/{item_id}", summary="Write an item; the cached copies are dropped")
    async def write_item(item_id: ItemId, wanted: ItemWrite, request: Request) -> Response:
        deadline = deadline_of(request)
        values = (item_id, wanted.name, wanted.price_cents, wanted.stock)
        try:
            row = await database.transaction(
                lambda connection: connection.fetchrow(UPDATE, *values), deadline
            )
        except OutcomeUnknownError:
            cache.distrust(item_id)
            raise
        if row is None:
            raise RejectedError(404, f"there is no item {item_id}")
        item: Item = item_of(row)
        await cache.invalidate(item, deadline)
        return json_bytes(item.body)

    return router


async def _stale(cache: Cache, item_id: int, request: Request) -> bytes | None:
    try:
        return await cache.stale(item_id, deadline_of(request))
    except UnavailableError:
        return None


ORDER = "id, item_id, quantity, customer, price_cents, placed_at"
# The order first: the second one with a key waits here, before the item's row is locked.
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
                lambda connection: place(connection, wish, key), deadline
            )
        except OutcomeUnknownError:
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
            raise RejectedError(404, f"there is no order {order_id}")
        return json_bytes(_order_bytes(row))

    return router


async def place(connection: Any, wish: OrderWish, key: str | None) -> tuple[bytes, Item | None]:
    """The order, and the item that was taken from: None where it was there already. Raises RejectedError."""
    order = await connection.fetchrow(INSERT, key, wish.item, wish.quantity, wish.customer)
    if order is None:
        earlier = None if key is None else await connection.fetchrow(SELECT_BY_KEY, key)
        if earlier is None:
            raise RejectedError(404, f"there is no item {wish.item}")
        if (earlier["item_id"], earlier["quantity"], earlier["customer"]) != (
            wish.item,
            wish.quantity,
            wish.customer,
        ):
            raise RejectedError(422, "this idempotency key was used for another order")
        return _order_bytes(earlier), None
    taken = await connection.fetchrow(TAKE, wish.item, wish.quantity)
    if taken is None:
        raise RejectedError(409, f"item {wish.item} has fewer than {wish.quantity} in stock")
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


NEW_CART = "INSERT INTO holdfast_api.carts (customer) VALUES ($1) RETURNING id"
ADD = """
UPDATE holdfast_api.carts SET item_id = $3, quantity = quantity + 1
WHERE id = $1 AND customer = $2 AND EXISTS (SELECT FROM holdfast_api.items WHERE id = $3) RETURNING quantity
"""
SELECT = "SELECT item_id, quantity FROM holdfast_api.carts WHERE id = $1 AND customer = $2"

CartId = Annotated[int, Path(ge=0, le=MOST_BIGINT)]
Token = Annotated[str | None, Header(alias="Authorization")]


class LogIn(BaseModel):
    """Who logs in. Any password that is the user's name backwards will do."""

    model_config = ConfigDict(extra="forbid")

    user: Text
    password: str = Field(max_length=200)


class Addition(BaseModel):
    """What is put into a cart, which holds one kind of item."""

    model_config = ConfigDict(extra="forbid")

    item: int = Field(ge=0, le=MOST_BIGINT)


class Tokens:
    """Makes tokens and knows them again; each is good for so many seconds."""

    def __init__(self, settings: Settings) -> None:
        self._key = f"holdfast {settings.database.address}".encode()  # the same in every instance
        self.lifetime_s = settings.token_s

    def new(self, user: str) -> str:
        """A token for a user."""
        said = base64.urlsafe_b64encode(f"{time.monotonic() + self.lifetime_s:.3f} {user}".encode()).decode()
        return f"{said}.{self._signature(said)}"

    def user_of(self, header: str | None) -> str:
        """Who it was made for. Raises RejectedError for a token that is none, or no longer."""
        said, _, signature = (header or "").removeprefix("Bearer ").partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(said).encode()):
            raise RejectedError(401, "log in first")
        ends, _, user = base64.urlsafe_b64decode(said).decode().partition(" ")
        if float(ends) < time.monotonic():
            raise RejectedError(401, "the token has expired")
        return user

    def _signature(self, said: str) -> str:
        return hmac.new(self._key, said.encode(), sha256).hexdigest()


def carts_router(settings: Settings, cache: Cache, database: Database) -> APIRouter:
    """The routes."""
    router, tokens = APIRouter(tags=["carts"]), Tokens(settings)

    @router.post("/login", summary="Log in; the password is the user's name backwards")
    async def log_in(who: LogIn) -> Response:
        if who.password != who.user[::-1]:
            raise RejectedError(403, f"this is not the password of {who.user}")
        return _json({"access_token": tokens.new(who.user), "expires_in": tokens.lifetime_s})

    @router.post("/carts", summary="Take a cart", status_code=201)
    async def take(request: Request, token: Token = None) -> Response:
        user = tokens.user_of(token)
        cart = await database.transaction(
            lambda connection: connection.fetchval(NEW_CART, user), deadline_of(request)
        )
        return _json({"id": cart, "count": 0}, 201, {"Location": f"/carts/{cart}"})

    @router.post("/carts/{cart_id}/items", summary="Put one item into a cart")
    async def add(cart_id: CartId, wanted: Addition, request: Request, token: Token = None) -> Response:
        user = tokens.user_of(token)
        count = await database.transaction(
            lambda connection: connection.fetchval(ADD, cart_id, user, wanted.item), deadline_of(request)
        )
        if count is None:
            raise RejectedError(404, f"{user} has no cart {cart_id}, or there is no item {wanted.item}")
        return _json({"id": cart_id, "count": count})

    @router.post("/carts/{cart_id}/order", summary="Order what is in a cart, once", status_code=201)
    async def order(cart_id: CartId, request: Request, token: Token = None) -> Response:
        user, deadline = tokens.user_of(token), deadline_of(request)
        cart = await database.query(lambda connection: connection.fetchrow(SELECT, cart_id, user), deadline)
        if cart is None or not cart["quantity"]:
            raise RejectedError(404, f"{user} has no cart {cart_id} with something in it")
        wish = OrderWish(item=cart["item_id"], quantity=cart["quantity"], customer=user)
        try:
            placed, item = await database.transaction(
                lambda connection: place(connection, wish, f"cart {cart_id}"), deadline
            )
        except OutcomeUnknownError:
            cache.distrust(wish.item)
            raise
        if item is not None:
            await cache.invalidate(item, deadline)
        return json_bytes(placed, 201)

    return router


def _json(value: Mapping[str, object], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return json_bytes(dumps(value, separators=(",", ":")).encode(), status, headers)
