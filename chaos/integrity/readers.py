"""Reading back what a Redis or a Postgres still has after healing; a check's query, tried before the load."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import Problem, ScenarioError
from bench.core.sanitize import redacted
from bench.drivers.redis.commands import encode
from bench.scenario.templates import RUN
from bench.stack.cluster import slot_of
from bench.stack.probes.connection import dialled
from bench.stack.probes.redis import login_commands
from bench.stack.sentinel import NotLocated
from chaos.integrity.check import ANSWER_S, WHOLE_S, NotYet, Unreadable, patiently
from chaos.integrity.ledger import Found, written_form

if TYPE_CHECKING:
    from typing import Self

    from psycopg import Connection

    from bench.scenario.workloads import Workload
    from bench.stack.cluster import ClusterNode, ClusterView
    from bench.stack.sentinel import Endpoint
    from bench.stack.target import Target
    from chaos.integrity.check import Check
    from chaos.integrity.ledger import WrittenForm


PASSING = ("MOVED", "ASK", "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN")
"""Errors by which a server says that it will serve later."""


class RedisReader:
    """One connection, logged in. Raises NotYet where another try may help, Unreadable where not."""

    def __init__(self, target: Target) -> None:
        import hiredis

        self._reader = hiredis.Reader()
        self._refusal = hiredis.ReplyError
        try:
            self._socket = dialled(target, ANSWER_S)
        except OSError as error:
            raise NotYet(f"no connection to {target.name} ({error})") from None
        try:
            self.ask_all(login_commands(target))
        except BaseException:
            self._socket.close()
            raise

    def ask(self, *words: bytes | str | int) -> Any:
        """One command's reply."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Sequence[Sequence[bytes | str | int]]) -> list[Any]:
        """The replies to commands that are sent together."""
        replies: list[Any] = []
        try:
            self._socket.sendall(b"".join(encode(*words) for words in commands))
            while len(replies) < len(commands):
                reply = self._reader.gets()
                if reply is not False:
                    replies.append(self._checked(reply))
                elif data := self._socket.recv(1 << 18):
                    self._reader.feed(data)
                else:
                    raise NotYet("the server closed the connection")
        except TimeoutError:
            raise NotYet(f"no answer within {ANSWER_S:g} s") from None
        except OSError as error:
            raise NotYet(f"the connection broke ({error})") from None
        return replies

    def _checked(self, reply: Any) -> Any:
        if not isinstance(reply, self._refusal):
            return reply
        if str(reply).startswith(PASSING):
            raise NotYet(f"the answer '{reply}'")
        raise Unreadable(f"the answer '{reply}'")

    def close(self) -> None:
        """Close it. Idempotent."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


REDIS_CHUNK = 1_000
EXCERPT_BYTES = 60


def read_redis(
    target: Target, workload: Workload, operation: str, seed: int, run_label: int, last_arrival: int
) -> Found:
    """Read what the operation has written in this run. Raises NotYet, Unreadable.

    Keys are asked for from arrival 0 to the last one of the workload, never sent ones too.
    """
    (command,) = workload.operations[operation].all_commands
    key = written_form(command[1], workload, seed, run_label)
    item = written_form(command[-1], workload, seed, run_label)
    if command[0].upper() == "SET":
        with ExitStack() as opened:
            return _keys(_asked_by_key(target, opened), key, item, last_arrival)
    with RedisReader(_home_of(target, key.of(0))) as dialogue:
        elements = _ELEMENTS[command[0].upper()](dialogue, key.of(0))
        return _sorted_out(elements, item)


Ask = Callable[[Sequence[bytes]], list[Any]]
"""The values of keys, in their order."""


def _asked_by_key(target: Target, opened: ExitStack) -> Ask:
    """MGET of a server; of a cluster a GET for each key, at the node that serves its slot."""
    if not target.nodes:
        single = opened.enter_context(RedisReader(target))
        return lambda keys: list(single.ask("MGET", *keys))
    view = _view_of(target)
    readers: dict[Endpoint, RedisReader] = {}

    def ask(keys: Sequence[bytes]) -> list[Any]:
        places = [_owner(view, key).endpoint for key in keys]
        values: dict[bytes, Any] = {}
        for place in dict.fromkeys(places):
            own = [key for key, home in zip(keys, places, strict=True) if home == place]
            if place not in readers:
                readers[place] = opened.enter_context(RedisReader(target.at(*place)))
            values |= zip(own, readers[place].ask_all([("GET", key) for key in own]), strict=True)
        return [values[key] for key in keys]

    return ask


def _view_of(target: Target) -> ClusterView:
    try:
        return target.cluster_view(ANSWER_S)
    except NotLocated as error:
        raise NotYet(str(error)) from None


def _owner(view: ClusterView, key: bytes) -> ClusterNode:
    owner = view.owner_of(slot_of(key))
    if owner is None:
        raise NotYet(f"nobody serves slot {slot_of(key)}")
    return owner


def _home_of(target: Target, key: bytes) -> Target:
    """Where a key is: the target, or a node of it."""
    return target.at(*_owner(_view_of(target), key).endpoint) if target.nodes else target


def _keys(ask: Ask, key: WrittenForm, item: WrittenForm, last_arrival: int) -> Found:
    right: list[int] = []
    changed: list[int] = []
    for first in range(0, last_arrival + 1, REDIS_CHUNK):
        arrivals = range(first, min(first + REDIS_CHUNK, last_arrival + 1))
        values = ask([key.of(arrival) for arrival in arrivals])
        for arrival, value in zip(arrivals, values, strict=True):
            if value is not None:
                (right if value == item.of(arrival) else changed).append(arrival)
    return Found(np.array(right, np.int64), np.array(changed, np.int64))


def _sorted_out(elements: Iterator[bytes], item: WrittenForm) -> Found:
    arrivals: list[int] = []
    foreign: list[str] = []
    for element in elements:
        arrival = item.arrival_of(element)
        if arrival is None:
            foreign.append(repr(element[:EXCERPT_BYTES])[1:])
        else:
            arrivals.append(arrival)
    return Found(np.array(arrivals, np.int64), foreign=tuple(foreign))


def _list(dialogue: RedisReader, key: bytes) -> Iterator[bytes]:
    first = 0
    while elements := dialogue.ask("LRANGE", key, first, first + REDIS_CHUNK - 1):
        yield from elements
        first += REDIS_CHUNK


def _set(dialogue: RedisReader, key: bytes) -> Iterator[bytes]:
    """Each once: a scan may give an element twice."""
    seen: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, elements = dialogue.ask("SSCAN", key, cursor, "COUNT", REDIS_CHUNK)
        seen.update(elements)
        if cursor == b"0":
            yield from seen
            return


def _stream(dialogue: RedisReader, key: bytes) -> Iterator[bytes]:
    """The value of each entry's last field."""
    begin = b"-"
    while entries := dialogue.ask("XRANGE", key, begin, "+", "COUNT", REDIS_CHUNK):
        for _, fields in entries:
            yield fields[-1]
        begin = b"(" + entries[-1][0]


_ELEMENTS = {"RPUSH": _list, "LPUSH": _list, "SADD": _set, "XADD": _stream}


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

    from bench.stack.probes.postgres import conninfo

    timeout = dict(target.options).get("connect_timeout", str(int(ANSWER_S)))
    try:
        with psycopg.connect(conninfo(target, connect_timeout=timeout)) as connection:
            connection.read_only = not is_writing
            # In the transaction alone: the session may be a pooler's.
            connection.execute(f"SET LOCAL statement_timeout = {int(WHOLE_S * 1000)}")
            yield connection
    except psycopg.OperationalError as error:
        raise NotYet(_one_line(error, target)) from None
    except psycopg.Error as error:
        raise Unreadable(f"the answer '{_one_line(error, target)}'") from None


def _one_line(error: Exception, target: Target) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return redacted(text, [target.password])


MAY_COME = ("42P01", "42703", "3F000")
"""No such table, column or schema: a data set or a setup may still bring it."""


def rehearse(check: Check, query: str, key: str, *, is_early: bool) -> None:
    """Have the server plan a query, the check's `key`. `is_early`: before data sets are loaded and `setup` is
    carried out, when what it names may still be missing.

    Raises ScenarioError where it is rejected, TargetError where there is no answer.
    """
    target = check.target
    try:
        refusal = patiently(lambda: _refusal(target, query.replace("{" + RUN + "}", "0")))
    except Unreadable as reason:
        raise target.error(f"an answer about `{key}`", str(reason), "check the target") from None
    if refusal is None:
        return
    sqlstate, text = refusal
    workloads = [one.workload for one in check.site.plan.workloads]
    loaded = [one for one in workloads if one.dataset is not None or one.setup]
    if is_early and sqlstate in MAY_COME and any(workload.target == check.store for workload in loaded):
        return
    raise ScenarioError(
        [
            Problem(
                f"workload {check.workload.name}",
                0,
                0,
                f"integrity: {key}",
                "a query that the server accepts",
                f"'{text}'",
                "correct the query",
            )
        ]
    )


def _refusal(target: Target, query: str) -> tuple[str, str] | None:
    """SQLSTATE and text, None where the server accepts it."""
    import psycopg

    with connected(target) as connection:
        try:
            connection.execute(f"EXPLAIN {query}".encode())
        except psycopg.OperationalError as error:
            raise NotYet(str(error)) from None
        except psycopg.Error as error:
            return error.sqlstate or "", str(error.diag.message_primary or error)
        finally:
            connection.rollback()
    return None
