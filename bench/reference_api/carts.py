"""The routes of a customer's journey: `/login`, and `/carts`, which are filled and ordered.

A token is signed rather than stored, so that every instance of the API on a machine knows it. Carts are rows
of Postgres.
"""

import base64
import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from json import dumps
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.resilience import OutcomeUnknownError, RejectedError
from bench.reference_api.responses import deadline_of, json_bytes
from bench.reference_api.settings import Settings
from bench.reference_api.shop import MOST_BIGINT, OrderWish, Text, place

INSERT = "INSERT INTO holdfast_api.carts (customer) VALUES ($1) RETURNING id"
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
            lambda connection: connection.fetchval(INSERT, user), deadline_of(request)
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
