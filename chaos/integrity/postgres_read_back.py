"""Asking a Postgres what it has, after it was healed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.redaction import redacted
from bench.scenario.placeholders import RUN
from chaos.integrity.ledger import Found
from chaos.integrity.read_back import ANSWER_S, WHOLE_S, NotYet, Unreadable

if TYPE_CHECKING:
    from psycopg import Connection

    from bench.stack.target import Target

POSTGRES_CHUNK = 10_000
EXCERPT = 60
LARGEST = 2**63 - 1


def read_postgres(target: Target, found: str, run_label: int) -> Found:
    """The arrivals that the scenario's own query gives. Raises NotYet, Unreadable."""
    query = found.replace("{" + RUN + "}", str(run_label))
    arrivals: list[int] = []
    foreign: list[str] = []
    with connected(target) as connection, connection.cursor(name="holdfast_read_back") as cursor:
        cursor.execute(query.encode())
        while rows := cursor.fetchmany(POSTGRES_CHUNK):
            if len(rows[0]) != 1:
                raise Unreadable(f"`found` gives {len(rows[0])} columns instead of one")
            for (value,) in rows:
                if is_arrival(value):
                    arrivals.append(int(value))
                else:
                    foreign.append(repr(value)[:EXCERPT])
    return Found(np.array(arrivals, np.int64), foreign=tuple(foreign))


def read_total(target: Target, query: str) -> Decimal | int | None:
    """The one number that a query gives; None where it gives none. Raises NotYet, Unreadable."""
    with connected(target) as connection:
        rows = connection.execute(query.encode()).fetchall()
    if len(rows) != 1 or len(rows[0]) != 1:
        raise Unreadable(f"`total` gives {len(rows)} rows instead of one number")
    value = rows[0][0]
    if value is None or isinstance(value, int | Decimal):
        return value
    raise Unreadable(f"`total` gives {value!r:.{EXCERPT}} instead of a number")


def is_arrival(value: Any) -> bool:
    """Whether a query's value can be the number of an arrival."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return Decimal(value).is_finite() and 0 <= value <= LARGEST and value == int(value)


@contextlib.contextmanager
def connected(target: Target, *, is_writing: bool = False) -> Iterator[Connection]:
    """A connection for one transaction, in which nothing can be written unless that is the purpose."""
    import psycopg

    from bench.stack.probes.libpq import libpq_parameters

    parameters: dict[str, Any] = {"connect_timeout": str(int(ANSWER_S)), **libpq_parameters(target)}
    try:
        with psycopg.connect(**parameters) as connection:
            connection.read_only = not is_writing
            connection.execute(f"SET statement_timeout = {int(WHOLE_S * 1000)}")
            yield connection
    except psycopg.OperationalError as error:
        raise NotYet(_one_line(error, target)) from None
    except psycopg.Error as error:
        raise Unreadable(f"the answer '{_one_line(error, target)}'") from None


def _one_line(error: Exception, target: Target) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return redacted(text, [target.password])
