"""Which arrivals' writes a Redis still has: by their keys, or all elements of one list, set or stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from chaos.integrity.ledger import Found
from chaos.integrity.redis_dialogue import RedisReader
from chaos.integrity.written_form import written_form

if TYPE_CHECKING:
    from bench.scenario.model import Workload
    from bench.stack.target import Target
    from chaos.integrity.written_form import WrittenForm

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
    with RedisReader(target) as dialogue:
        if command[0].upper() == "SET":
            return _keys(dialogue, key, item, last_arrival)
        elements = _ELEMENTS[command[0].upper()](dialogue, key.of(0))
        return _sorted_out(elements, item)


def _keys(dialogue: RedisReader, key: WrittenForm, item: WrittenForm, last_arrival: int) -> Found:
    right: list[int] = []
    changed: list[int] = []
    for first in range(0, last_arrival + 1, REDIS_CHUNK):
        arrivals = range(first, min(first + REDIS_CHUNK, last_arrival + 1))
        values = dialogue.ask("MGET", *(key.of(arrival) for arrival in arrivals))
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
