"""Which Redis commands look something up, so that an answer without a value is a miss and no mere reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.core.answers import FOUND, MISSED
from bench.engine.wire.layout import LOOKUP_EACH, LOOKUP_ONE, NO_LOOKUP, STEP_FIRST, T_LOOKUP, T_REPLIES

if TYPE_CHECKING:
    from bench.plan.program import Program

_ONE = frozenset(
    (
        *("GET", "GETEX", "GETDEL", "GETSET", "DUMP", "RANDOMKEY", "KEYS", "SORT", "SORT_RO"),
        *("HGET", "HGETALL", "HKEYS", "HVALS", "HRANDFIELD"),
        *(
            "LINDEX",
            "LPOP",
            "RPOP",
            "LRANGE",
            "LPOS",
            "LMOVE",
            "RPOPLPUSH",
            "LMPOP",
            "BLPOP",
            "BRPOP",
            "BLMOVE",
            "BRPOPLPUSH",
            "BLMPOP",
        ),
        *("SMEMBERS", "SPOP", "SRANDMEMBER", "SINTER", "SUNION", "SDIFF"),
        *("ZSCORE", "ZRANK", "ZREVRANK", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"),
        *("ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZRANDMEMBER", "ZINTER", "ZUNION", "ZDIFF"),
        *("ZPOPMIN", "ZPOPMAX", "BZPOPMIN", "BZPOPMAX", "ZMPOP", "BZMPOP"),
        *(
            "XRANGE",
            "XREVRANGE",
            "XREAD",
            "XREADGROUP",
            "GEOPOS",
            "GEODIST",
            "GEOSEARCH",
            "GEORADIUS",
            "GEORADIUSBYMEMBER",
        ),
    )
)
"""One lookup a command: it missed where its answer holds no value at all."""

_EACH = frozenset(["MGET", "HMGET", "HGETEX", "HGETDEL", "ZMSCORE", "GEOHASH"])
"""One lookup for each value of the answer."""


def lookup_of(command: tuple[str, ...]) -> int:
    """What the answer to a command counts as. Commands of modules (JSON.GET) go by their own part."""
    name = command[0].upper().rpartition(".")[2]
    if name in _EACH:
        return LOOKUP_EACH
    return LOOKUP_ONE if name in _ONE else NO_LOOKUP


def lookups_of(program: Program, operation: int) -> tuple[int, ...]:
    """What each reply to an operation's commands counts as."""
    step = program.steps[program.operations[operation, STEP_FIRST]]
    first = int(step[T_LOOKUP])
    return tuple(int(kind) for kind in program.lookups[first : first + int(step[T_REPLIES])])


def found_by(reply: Any, kind: int) -> tuple[int, ...]:
    """What a client library's reply to a lookup counts as, in columns of a table of answers."""
    values = list(_values(reply))
    if kind == LOOKUP_EACH:
        return tuple(MISSED if value is None else FOUND for value in values)
    return (FOUND if any(value is not None for value in values) else MISSED,)


def _values(reply: Any) -> Iterator[Any]:
    """The values of a reply at any depth, nulls among them."""
    match reply:
        case dict():
            for key, value in reply.items():
                yield key
                yield from _values(value)
        case list() | tuple() | set() | frozenset():
            for item in reply:
                yield from _values(item)
        case _:
            yield reply
