"""An item as it is answered: the bytes are made once, where the row is read."""

from json import dumps
from typing import Any, NamedTuple

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
