"""The commands of a Redis program as words, for a client library that encodes them itself.

The words are read back from the program's templates, so a client sends what the wire engine sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.engine.wire.layout import (
    F_OFFSET,
    F_SOURCE,
    F_WIDTH,
    FROM_RUN,
    FROM_VARIABLE,
    STEP_FIRST,
    T_FIELD_END,
    T_FIELD_FIRST,
    T_SIZE,
    T_START,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.plan.program import Program

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
