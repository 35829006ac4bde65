"""Redis commands: as templates, as words for a client library, and which of them look something up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.answers import FOUND, MISSED
from bench.engine.wire.layout import (
    F_OFFSET,
    F_SOURCE,
    F_WIDTH,
    FROM_ARRIVAL,
    FROM_RUN,
    FROM_VARIABLE,
    LOOKUP_EACH,
    LOOKUP_ONE,
    NO_LOOKUP,
    STEP_FIRST,
    T_FIELD_END,
    T_FIELD_FIRST,
    T_LOOKUP,
    T_REPLIES,
    T_SIZE,
    T_START,
)
from bench.plan.program import Field
from bench.scenario.templates import RUN_WIDTH, SEQUENCE_WIDTH, value_content

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.plan.program import Program


_PLACEHOLDER = re.compile(r"\{(key|value|seq|run)\}")


def key_width(count: int) -> int:
    """Decimal digits of the largest of `count` keys."""
    return len(str(count - 1))


class CommandWriter:
    """Encodes commands one after the other as RESP arrays, noting where their fields stand."""

    def __init__(
        self, *, prefix: str, key_count: int, key_variable: int, value_bytes: int, seed: int
    ) -> None:
        self._prefix = prefix.encode()
        self._key_width = key_width(key_count) if key_count else 0
        self._key_variable = key_variable
        self._value, self._value_digits = value_content(value_bytes, seed) if value_bytes else (b"", 0)
        self.content = bytearray()
        self.fields: list[Field] = []

    def add(self, words: tuple[str, ...]) -> None:
        """Append one command."""
        self.content += b"*%d\r\n" % len(words)
        for word in words:
            text, fields = self._expand(word)
            self.content += b"$%d\r\n" % len(text)
            start = len(self.content)
            self.fields += [Field(start + f.offset, f.width, f.source, f.variable) for f in fields]
            self.content += text + b"\r\n"

    def _expand(self, word: str) -> tuple[bytes, list[Field]]:
        text = bytearray()
        fields: list[Field] = []
        for number, piece in enumerate(_PLACEHOLDER.split(word)):
            if number % 2 == 0:
                text += piece.encode()
            elif piece == "key":
                text += self._prefix
                fields.append(Field(len(text), self._key_width, FROM_VARIABLE, self._key_variable))
                text += b"0" * self._key_width
            elif piece == "seq":
                fields.append(Field(len(text), SEQUENCE_WIDTH, FROM_ARRIVAL))
                text += b"0" * SEQUENCE_WIDTH
            elif piece == "run":
                fields.append(Field(len(text), RUN_WIDTH, FROM_RUN))
                text += b"0" * RUN_WIDTH
            else:
                fields.append(Field(len(text), self._value_digits, FROM_ARRIVAL))
                text += self._value
        return bytes(text), fields


def encode(*words: bytes | str | int) -> bytes:
    """One command as a RESP array of bulk strings."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


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


FROM_KEY = 0
"""Stands where a modulus would: the number is the arrival's key."""
FROM_LABEL = -1
"""Likewise: the number is that of the run."""


@dataclass(frozen=True)
class Patch:
    """A word that holds numbers: its position, its form for `%`, and a modulus for each number.

    A number wider than its field keeps its last digits, as in a rendered request.
    """

    position: int
    form: bytes
    moduli: tuple[int, ...]


@dataclass(frozen=True)
class CommandWords:
    """One command. The first word is text because a client library looks it up by name."""

    words: tuple[str | bytes, ...]
    patches: tuple[Patch, ...]

    def render(self, arrival: int, key: int, run_label: int = 0) -> list[str | bytes]:
        """The words for one arrival."""
        special = {FROM_KEY: key, FROM_LABEL: run_label}
        words = list(self.words)
        for patch in self.patches:
            numbers = tuple(
                special[modulus] if modulus in special else arrival % modulus for modulus in patch.moduli
            )
            words[patch.position] = patch.form % numbers
        return words


def commands_of(program: Program, operation: int) -> tuple[CommandWords, ...]:
    """The commands that one operation sends together."""
    row = program.steps[program.operations[operation, STEP_FIRST]]
    start, size = int(row[T_START]), int(row[T_SIZE])
    content = program.template[start : start + size].tobytes()
    fields = [_field(field) for field in program.fields[row[T_FIELD_FIRST] : row[T_FIELD_END]]]
    return tuple(_command(content, spans, fields) for spans in _spans(content))


def _field(row: NDArray[np.int64]) -> tuple[int, int, int]:
    """Offset, width and modulus."""
    width = int(row[F_WIDTH])
    special = {FROM_VARIABLE: FROM_KEY, FROM_RUN: FROM_LABEL}
    return int(row[F_OFFSET]), width, special.get(int(row[F_SOURCE]), 10**width)


def _spans(content: bytes) -> Iterator[list[tuple[int, int]]]:
    """Where the words of each RESP array of bulk strings begin and end."""
    at = 0
    while at < len(content):
        count, at = _header(content, at)
        spans = []
        for _ in range(count):
            size, at = _header(content, at)
            spans.append((at, at + size))
            at += size + 2
        yield spans


def _header(content: bytes, at: int) -> tuple[int, int]:
    """The number in a header line, and where the line after it begins."""
    end = content.index(b"\r\n", at)
    return int(content[at + 1 : end]), end + 2


def _command(
    content: bytes, spans: list[tuple[int, int]], fields: list[tuple[int, int, int]]
) -> CommandWords:
    words: list[str | bytes] = []
    patches = []
    for position, (start, end) in enumerate(spans):
        within = [field for field in fields if start <= field[0] < end]
        if within:
            moduli = tuple(field[2] for field in within)
            patches.append(Patch(position, _form(content, start, end, within), moduli))
        words.append(content[start:end])
    if not any(patch.position == 0 for patch in patches):
        words[0] = content[spans[0][0] : spans[0][1]].decode()
    return CommandWords(tuple(words), tuple(patches))


def _form(content: bytes, start: int, end: int, fields: list[tuple[int, int, int]]) -> bytes:
    form, at = b"", start
    for offset, width, _ in fields:
        form += content[at:offset].replace(b"%", b"%%") + b"%%0%dd" % width
        at = offset + width
    return form + content[at:end].replace(b"%", b"%%")
