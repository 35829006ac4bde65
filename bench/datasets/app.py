"""The application-like set: accounts with totals, their orders, and events with a JSON payload.

A scenario may add rows, change them and delete events. The set stays consistent as long as every
transaction that adds an order of an account (or changes its total) also carries the account's
`orders_count` and `ordered_cents` along: that is what `check` looks for, and what lost or half-done
transactions break.

Rows are functions of their numbers, the same everywhere. Draws are SplitMix64 (Steele, Lea, Flood
2014) run as a counter and worked with in whole numbers only, so that no library's version and no
machine's rounding changes a row, and every sum is known.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from bench.datasets.dataset import APP_ROWS, BuiltIn, Invariant, accounts_of, events_of, orders_of

Whole = NDArray[np.uint64]

SEED = 0x686F6C6466617374  # "holdfast" in ASCII
BLOCK_ROWS = APP_ROWS["orders"]
LINES_PER_WRITE = 5_000
MOST_ORDER_LINES = 3
MINUTES_OF_DATA = 365 * 24 * 60
"""Orders and events are spread over 2024, accounts over the year before it."""

_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_STREAM = 0xD1342543DE82EF95
_WORD = (1 << 64) - 1

STATUSES = ("paid", "shipped", "shipped", "delivered", "delivered", "delivered", "delivered", "returned")
ACCOUNT_STATUSES = ("active",) * 15 + ("suspended",)
KINDS = ("order_placed", "order_placed", "order_paid", "order_shipped", "page_viewed", "signed_in")
COUNTRIES = ("DE", "FR", "NL", "PL", "ES", "IT", "SE", "AT")
CLIENTS = ("web", "web", "ios", "android")
NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Leslie", "Radia", "Tony")


class AppRows:
    """The rows of one scale as lines of COPY's text form. `accounts` comes after `orders`."""

    def __init__(self, scale: int) -> None:
        self.account_count = accounts_of(scale, "app")
        self.order_count, self.event_count = orders_of(scale), events_of(scale)
        self.figures: dict[str, int] = {
            "accounts": self.account_count,
            "account_keys": _sum_to(self.account_count),
            "orders": self.order_count,
            "order_keys": _sum_to(self.order_count),
            "events": self.event_count,
            "event_keys": _sum_to(self.event_count),
            **dict.fromkeys(("order_accounts", "total_cents", "counted_orders", "ordered_cents"), 0),
            **dict.fromkeys(("event_accounts", "event_orders", "event_cents"), 0),
        }
        """What the sums are, of the rows that have been given out."""
        self._counts = np.zeros(self.account_count + 1, np.int64)
        self._cents = np.zeros(self.account_count + 1, np.int64)

    def orders(self) -> Iterator[str]:
        """order_id, account_id, status, total_cents, created_at."""
        for numbers in _blocks(self.order_count):
            accounts, cents = self._accounts_of(numbers), _total_cents(numbers)
            self._counts += np.bincount(accounts.astype(np.int64), minlength=len(self._counts))
            np.add.at(self._cents, accounts.astype(np.int64), cents.astype(np.int64))
            self._add("order_accounts", accounts)
            self._add("total_cents", cents)
            status = _draws(3, numbers) % len(STATUSES)
            lines = (
                f"{number}\t{account}\t{STATUSES[one]}\t{total}\t{time}\n"
                for number, account, one, total, time in zip(
                    numbers.tolist(),
                    accounts.tolist(),
                    status.tolist(),
                    cents.tolist(),
                    _times(numbers, self.order_count, "2024-01-01T00:00"),
                    strict=True,
                )
            )
            yield from _joined(lines)

    def accounts(self) -> Iterator[str]:
        """account_id, name, email, status, orders_count, ordered_cents, created_at."""
        for numbers in _blocks(self.account_count):
            counts, cents = self._counts[numbers], self._cents[numbers]
            self._add("counted_orders", counts)
            self._add("ordered_cents", cents)
            draws = _draws(4, numbers)
            lines = (
                f"{number}\t{NAMES[draw % 8]} {number}\taccount{number}@example.com\t"
                f"{ACCOUNT_STATUSES[draw // 8 % 16]}\t{count}\t{total}\t{time}\n"
                for number, draw, count, total, time in zip(
                    numbers.tolist(),
                    draws.tolist(),
                    counts.tolist(),
                    cents.tolist(),
                    _times(numbers, self.account_count, "2023-01-01T00:00"),
                    strict=True,
                )
            )
            yield from _joined(lines)

    def events(self) -> Iterator[str]:
        """event_id, account_id, order_id or NULL, kind, payload, created_at.

        Event n is about order n where its kind is one of an order, else about its account alone.
        """
        for numbers in _blocks(self.event_count):
            accounts, cents = self._accounts_of(numbers), _total_cents(numbers)
            kinds = _draws(5, numbers) % len(KINDS)
            of_order = kinds < 4
            self._add("event_accounts", accounts)
            self._add("event_orders", numbers[of_order])
            self._add("event_cents", cents[of_order])
            lines = (
                f"{number}\t{account}\t{number if kind < 4 else _NULL}\t{KINDS[kind]}\t{{{order}"
                f'"client": {{"app": "{CLIENTS[draw & 3]}", "version": "4.{draw >> 8 & 15}.{draw >> 12 & 7}",'
                f' "country": "{COUNTRIES[draw >> 4 & 7]}"}}, "trace": "{draw:016x}"}}\t{time}\n'
                for number, account, kind, order, draw, time in zip(
                    numbers.tolist(),
                    accounts.tolist(),
                    kinds.tolist(),
                    _order_parts(numbers, cents, of_order),
                    _draws(6, numbers).tolist(),
                    _times(numbers, self.event_count, "2024-01-01T00:01"),
                    strict=True,
                )
            )
            yield from _joined(lines)

    def _accounts_of(self, numbers: Whole) -> Whole:
        """The account of each order: squared draws, so that a few accounts have many orders."""
        draw = _draws(1, numbers) >> np.uint64(32)
        skewed = (draw * draw) >> np.uint64(32)
        return ((skewed * np.uint64(self.account_count)) >> np.uint64(32)) + np.uint64(1)

    def _add(self, name: str, values: NDArray[np.uint64] | NDArray[np.int64]) -> None:
        self.figures[name] += int(values.sum())


_NULL = r"\N"


def _order_lines(numbers: Whole) -> list[tuple[Whole, Whole, Whole]]:
    """(article, quantity, cents each) of each line of the orders; a quantity of 0: no such line."""
    lengths = _draws(2, numbers) % MOST_ORDER_LINES + 1
    lines = []
    for index in range(MOST_ORDER_LINES):
        draw = _draws(8 + index, numbers)
        article = draw % 2_000
        quantity = np.where(lengths > index, (draw >> np.uint64(16)) % 4 + 1, 0).astype(np.uint64)
        lines.append((article, quantity, 199 + article * 7 % 5_000))
    return lines


def _total_cents(numbers: Whole) -> Whole:
    total = np.zeros(len(numbers), np.uint64)
    for _, quantity, cents in _order_lines(numbers):
        total += quantity * cents
    return total


def _order_parts(numbers: Whole, totals: Whole, of_order: NDArray[np.bool_]) -> Iterator[str]:
    """The part of a payload that tells its order; empty where there is none."""
    columns = [column.tolist() for line in _order_lines(numbers) for column in line]
    for number, total, wanted, *line in zip(
        numbers.tolist(), totals.tolist(), of_order.tolist(), *columns, strict=True
    ):
        if not wanted:
            yield ""
            continue
        lines = ", ".join(
            f'{{"sku": "A{line[at]:05d}", "quantity": {line[at + 1]}, "cents": {line[at + 2]}}}'
            for at in range(0, len(line), 3)
            if line[at + 1]
        )
        yield f'"order": {{"id": {number}, "total_cents": {total}, "currency": "EUR", "lines": [{lines}]}}, '


def _times(numbers: Whole, count: int, start: str) -> list[str]:
    """Evenly spread over a year, in the order of the numbers, in UTC."""
    minutes = ((numbers - np.uint64(1)) * np.uint64(MINUTES_OF_DATA) // np.uint64(count)).astype(np.int64)
    stamps = np.datetime64(start, "m") + minutes.astype("timedelta64[m]")
    return [f"{stamp}:00Z" for stamp in np.datetime_as_string(stamps).tolist()]


def _draws(stream: int, numbers: Whole) -> Whole:
    """64 bits for each number: mix64(key of the stream + number * golden ratio), modulo 2**64."""
    key = np.uint64((SEED + stream * _STREAM) & _WORD)
    value = numbers * np.uint64(_GOLDEN) + key
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_1)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_2)
    return value ^ (value >> np.uint64(31))


def _blocks(count: int) -> Iterator[Whole]:
    """The numbers 1 to `count`, in arrays of bounded size."""
    for first in range(1, count + 1, BLOCK_ROWS):
        yield np.arange(first, min(first + BLOCK_ROWS, count + 1), dtype=np.uint64)


def _joined(lines: Iterator[str]) -> Iterator[str]:
    while part := "".join(itertools.islice(lines, LINES_PER_WRITE)):
        yield part


def _sum_to(count: int) -> int:
    return count * (count + 1) // 2


CREATE = """
CREATE TABLE holdfast_app.accounts (
    account_id integer NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    orders_count integer NOT NULL DEFAULT 0,
    ordered_cents bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE holdfast_app.orders (
    order_id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    account_id integer NOT NULL,
    status text NOT NULL DEFAULT 'placed',
    total_cents bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE holdfast_app.events (
    event_id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    account_id integer NOT NULL,
    order_id bigint,
    kind text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
"""

FINISH = """
ALTER TABLE holdfast_app.accounts ADD PRIMARY KEY (account_id);
ALTER TABLE holdfast_app.orders ADD PRIMARY KEY (order_id);
ALTER TABLE holdfast_app.events ADD PRIMARY KEY (event_id);
CREATE INDEX orders_of_account ON holdfast_app.orders (account_id, created_at);
CREATE INDEX events_of_account ON holdfast_app.events (account_id, created_at);
CREATE INDEX events_payload ON holdfast_app.events USING gin (payload jsonb_path_ops);
ALTER TABLE holdfast_app.orders
    ADD FOREIGN KEY (account_id) REFERENCES holdfast_app.accounts;
ALTER TABLE holdfast_app.events
    ADD FOREIGN KEY (account_id) REFERENCES holdfast_app.accounts,
    ADD FOREIGN KEY (order_id) REFERENCES holdfast_app.orders;
SELECT setval(pg_get_serial_sequence('holdfast_app.orders', 'order_id'), max(order_id))
FROM holdfast_app.orders;
SELECT setval(pg_get_serial_sequence('holdfast_app.events', 'event_id'), max(event_id))
FROM holdfast_app.events;
"""

FIGURES = """
SELECT a.*, o.*, e.*
FROM (SELECT count(*) AS accounts, sum(account_id) AS account_keys,
             sum(orders_count) AS counted_orders, sum(ordered_cents) AS ordered_cents
      FROM holdfast_app.accounts) a,
     (SELECT count(*) AS orders, sum(order_id) AS order_keys,
             sum(account_id) AS order_accounts, sum(total_cents) AS total_cents
      FROM holdfast_app.orders) o,
     (SELECT count(*) AS events, sum(event_id) AS event_keys, sum(account_id) AS event_accounts,
             sum(order_id) AS event_orders,
             sum((payload #>> '{order,total_cents}')::bigint) AS event_cents
      FROM holdfast_app.events) e
"""


def fill(connection: Connection, scale: int) -> dict[str, int]:
    """COPY orders, events and accounts; keys come later, so the order is free."""

    rows = AppRows(scale)
    copies = {
        "orders (order_id, account_id, status, total_cents, created_at)": rows.orders,
        "events (event_id, account_id, order_id, kind, payload, created_at)": rows.events,
        "accounts": rows.accounts,
    }
    with connection.cursor() as cursor:
        for table, lines in copies.items():
            with cursor.copy(f"COPY holdfast_app.{table} FROM STDIN WITH (FREEZE)") as copy:
                for part in lines():
                    copy.write(part)
    return rows.figures


def invariants(scale: int) -> tuple[Invariant, ...]:
    """The totals of the accounts are those of their orders, and nothing refers to what is not there."""
    return (
        _keys("accounts", "account_id", accounts_of(scale, "app")),
        _keys("orders", "order_id", orders_of(scale)),
        Invariant(
            "sum(accounts.ordered_cents) as sum(orders.total_cents)",
            "SELECT (SELECT coalesce(sum(total_cents), 0) FROM holdfast_app.orders),"
            " coalesce(sum(ordered_cents), 0) FROM holdfast_app.accounts",
        ),
        Invariant(
            "sum(accounts.orders_count) as rows of orders",
            "SELECT (SELECT count(*) FROM holdfast_app.orders), coalesce(sum(orders_count), 0)"
            " FROM holdfast_app.accounts",
        ),
        Invariant(
            "accounts whose totals are not those of their orders",
            "SELECT 0, count(*) FROM holdfast_app.accounts FULL JOIN"
            " (SELECT account_id, count(*) AS n, sum(total_cents) AS cents FROM holdfast_app.orders"
            "  GROUP BY account_id) ordered USING (account_id)"
            " WHERE coalesce(orders_count, 0) <> coalesce(n, 0)"
            " OR coalesce(ordered_cents, 0) <> coalesce(cents, 0)",
        ),
        _orphans("orders", "account_id", "accounts"),
        _orphans("events", "account_id", "accounts"),
        _orphans("events", "order_id", "orders"),
        Invariant(
            "events with an order of another account",
            "SELECT 0, count(*) FROM holdfast_app.events e JOIN holdfast_app.orders o USING (order_id)"
            " WHERE e.account_id <> o.account_id",
        ),
    )


def complete(scale: int) -> tuple[Invariant, ...]:
    """Events may be deleted by a run, but then the set is not used again."""
    return (_keys("events", "event_id", events_of(scale)),)


def _keys(table: str, key: str, count: int) -> Invariant:
    return Invariant(
        f"{table} with {key} 1 to {count}",
        f"SELECT {count}, count(*) FROM holdfast_app.{table} WHERE {key} BETWEEN 1 AND {count}",  # noqa: S608 - constants
    )


def _orphans(table: str, key: str, parent: str) -> Invariant:
    return Invariant(
        f"{table} whose {key} is not among the {parent}",
        f"SELECT 0, count(*) FROM holdfast_app.{table} child WHERE {key} IS NOT NULL AND NOT EXISTS"  # noqa: S608 - constants
        f" (SELECT FROM holdfast_app.{parent} parent WHERE parent.{key} = child.{key})",
    )


APP = BuiltIn(
    name="app",
    schema="holdfast_app",
    tables=("events", "orders", "accounts"),
    create=CREATE,
    fill=fill,
    finish=FINISH,
    figures=FIGURES,
    invariants=invariants,
    complete=complete,
)
