"""Rendering a request: copy its template, write its numbers into place.

Templates are rendered when the run is planned. Where lengths are part of the protocol numbers have a
fixed width, so that a request is one copy and a few digits; a natural number (in a path, say) moves
what follows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import compiled, inner, int64
from bench.engine.wire.layout import (
    ARRIVAL,
    CHANNEL_VARIABLE,
    F_BASE,
    F_FORM,
    F_OFFSET,
    F_SOURCE,
    F_VARIABLE,
    F_WIDTH,
    FROM_ARRIVAL,
    FROM_PLANNED,
    FROM_PUBLISHER,
    FROM_RUN,
    FROM_SEQUENCE,
    FROM_VARIABLE,
    KEY,
    KEY_VARIABLE,
    NATURAL,
    PLANNED,
    RUN_LABEL,
    SEED,
    SPACE_PADDED,
    T_FIELD_END,
    T_FIELD_FIRST,
    T_SIZE,
    T_START,
    Tables,
)
from bench.engine.wire.syscalls import copy_bytes
from bench.plan.draws import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray


_MINUS, _SPACE = (int64(ord(character)) for character in "- ")
START = int64(0)


@compiled
def write_digits(data: NDArray[np.uint8], start: int, width: int, number: int) -> None:
    """Write the last `width` decimal digits of a number, zero-padded."""
    for offset in range(width - 1, -1, -1):
        data[start + offset] = 48 + number % 10
        number //= 10


@compiled
def digits_of(number: int) -> int:
    """Decimal digits of a number that is not negative."""
    count = 1
    while number >= 10:
        number //= 10
        count += 1
    return count


@compiled
def write_number(data: NDArray[np.uint8], start: int, width: int, number: int, form: int) -> int:
    """Write a number, which may be negative, in one of the forms; return how many bytes it took.

    A padded number that is wider than its field keeps its last digits.
    """
    sign = 1 if number < 0 else 0
    size = abs(number)
    if form == NATURAL:
        width = digits_of(size) + sign
    if form == SPACE_PADDED:
        used = min(digits_of(size) + sign, width)
        for offset in range(width - used):
            data[start + offset] = _SPACE
        write_digits(data, start + width - used + sign, used - sign, size)
        if sign == 1:
            data[start + width - used] = _MINUS
    else:
        write_digits(data, start, width, size)
        if sign == 1:
            data[start] = _MINUS
    return width


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
def number_for(t: Tables, field: NDArray[np.int64], entry: NDArray[np.int64], lane: int) -> int:
    """What an arrival (a row of `waiting` or of `flights`) has in a field."""
    source = field[F_SOURCE]
    value = entry[ARRIVAL]
    if source == FROM_VARIABLE:
        variable = field[F_VARIABLE]
        if variable == t.settings[KEY_VARIABLE]:
            value = entry[KEY]
        else:
            value = draw(t.variables[variable], t.settings[SEED], entry[ARRIVAL])
    elif source == FROM_PUBLISHER:
        value = lane
    elif source == FROM_SEQUENCE:
        value = t.sequences[lane, channel_of(t, entry[ARRIVAL])]
    elif source == FROM_PLANNED:
        value = entry[PLANNED]
    elif source == FROM_RUN:
        value = t.control[RUN_LABEL]
    elif source != FROM_ARRIVAL:
        value = 0
    return value + field[F_BASE]


@inner
def render(t: Tables, number: int, entry: NDArray[np.int64], lane: int, at: int) -> int:
    """Render step `number` of an arrival at rendered[at:]; return the position after it."""
    step = t.steps[number]
    start, size = step[T_START], step[T_SIZE]
    copy_bytes(t.rendered, at, t.template, start, size)
    moved = START  # how far what follows stands left of its place in the template
    for index in range(step[T_FIELD_FIRST], step[T_FIELD_END]):
        field = t.fields[index]
        where = at + field[F_OFFSET] - moved
        value = number_for(t, field, entry, lane)
        width = write_number(t.rendered, where, field[F_WIDTH], value, field[F_FORM])
        if field[F_FORM] == NATURAL and width != field[F_WIDTH]:
            following = field[F_OFFSET] + field[F_WIDTH]
            copy_bytes(t.rendered, where + width, t.template, start + following, size - following)
            moved += field[F_WIDTH] - width
    return at + size - moved


@inner
def channel_of(t: Tables, arrival: int) -> int:
    """The channel that a published arrival goes to."""
    return draw(t.variables[t.settings[CHANNEL_VARIABLE]], t.settings[SEED], arrival)
