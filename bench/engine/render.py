"""Rendering a request: copy its template, write its numbers into place.

Templates are rendered when the run is planned; every number has a fixed width, so that lengths in
the protocol's headers are constants and a request is one copy and a few digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.engine.layout import (
    ARRIVAL,
    CHANNEL_VARIABLE,
    F_OFFSET,
    F_SOURCE,
    F_VARIABLE,
    F_WIDTH,
    FROM_ARRIVAL,
    FROM_PLANNED,
    FROM_PUBLISHER,
    FROM_SEQUENCE,
    FROM_VARIABLE,
    KEY,
    KEY_VARIABLE,
    OPERATION,
    PLANNED,
    SEED,
    T_FIELD_END,
    T_FIELD_FIRST,
    T_SIZE,
    T_START,
    Tables,
)
from bench.engine.syscalls import copy_bytes
from bench.jit import compiled, inner
from bench.plan.draws import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def write_digits(data: NDArray[np.uint8], start: int, width: int, number: int) -> None:
    """Write the last `width` decimal digits of a number, zero-padded."""
    for offset in range(width - 1, -1, -1):
        data[start + offset] = 48 + number % 10
        number //= 10


@compiled
def read_digits(text: NDArray[np.uint8], start: int, width: int) -> int:
    """A fixed-width decimal, or -1 where a byte is no digit."""
    number = 0
    for offset in range(start, start + width):
        digit = np.int64(text[offset]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + int(digit)
    return number


@inner
def render(t: Tables, slot: NDArray[np.int64], lane: int, at: int) -> int:
    """Render the waiting arrival `slot` for `lane` at rendered[at:]; return the position after it."""
    operation = t.operations[slot[OPERATION]]
    start, size = operation[T_START], operation[T_SIZE]
    copy_bytes(t.rendered, at, t.template, start, size)
    for number in range(operation[T_FIELD_FIRST], operation[T_FIELD_END]):
        field = t.fields[number]
        source = field[F_SOURCE]
        value = slot[ARRIVAL]
        if source == FROM_VARIABLE:
            variable = field[F_VARIABLE]
            if variable == t.settings[KEY_VARIABLE]:
                value = slot[KEY]
            else:
                value = draw(t.variables[variable], t.settings[SEED], slot[ARRIVAL])
        elif source == FROM_PUBLISHER:
            value = lane
        elif source == FROM_SEQUENCE:
            value = t.sequences[lane, channel_of(t, slot[ARRIVAL])]
        elif source == FROM_PLANNED:
            value = slot[PLANNED]
        elif source != FROM_ARRIVAL:
            value = 0
        write_digits(t.rendered, at + field[F_OFFSET], field[F_WIDTH], value)
    return at + size


@inner
def channel_of(t: Tables, arrival: int) -> int:
    """The channel that a published arrival goes to."""
    return draw(t.variables[t.settings[CHANNEL_VARIABLE]], t.settings[SEED], arrival)
