"""Rendering a request: copy its template, write its numbers into place.

Templates are rendered when the run is planned. Where lengths are part of the protocol numbers have a
fixed width, so that a request is one copy and a few digits; a natural number (in a path, say) and a text
move what follows them, and where a length stands before a text it is a field of its own.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, inner, int64
from bench.engine.wire.layout import (
    ARRIVAL,
    AS_JSON,
    BIG_ENDIAN,
    CAPTURED,
    CELL_SIZE,
    CELL_START,
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
    FROM_SIZE,
    FROM_VARIABLE,
    IN_JSON,
    IN_PATH,
    KEY,
    KEY_VARIABLE,
    LETTERS,
    NATURAL,
    PLANNED,
    RUN_LABEL,
    SEED,
    SPACE_PADDED,
    T_FIELD_END,
    T_FIELD_FIRST,
    T_SIZE,
    T_START,
    TEXT,
    UUID,
    Tables,
)
from bench.engine.wire.syscalls import copy_bytes
from bench.plan.draws import draw, mix64, stream_key
from bench.protocols.wants.state import CLASS, SIZE
from bench.protocols.wants.state import TEXT as TEXT_VALUE

_MINUS, _SPACE, _QUOTE, _BACKSLASH, _PERCENT, _LAST_PRINTABLE = (
    int64(ord(character)) for character in '- "\\%~'
)
_NOT_IN_A_PATH = tuple(int64(byte) for byte in b'"#<>\\^`{|}')
_ESCAPE = tuple(int64(byte) for byte in b"\\u00")
_HYPHEN = _MINUS
_LETTERS = np.uint64(62)
LETTERS_AT_ONCE = int64(10)
"""62**10 is below 2**64."""
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
    if form == BIG_ENDIAN:
        for offset in range(width - 1, -1, -1):
            data[start + offset] = size & 0xFF
            size >>= 8
        return width
    if form == LETTERS:
        write_letters(data, start, width, number)
        return width
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
def write_letters(data: NDArray[np.uint8], start: int, width: int, number: int) -> None:
    """Write random letters and digits, always the same ones for a number."""
    bits, left = np.uint64(0), 0
    for offset in range(width):
        if left == 0:
            bits, left = mix64(stream_key(number, offset)), LETTERS_AT_ONCE
        letter = np.int64(bits % _LETTERS)
        bits //= _LETTERS
        left -= 1
        # 0-9, A-Z, a-z
        data[start + offset] = letter + (48 if letter < 10 else 55 if letter < 36 else 61)


@compiled
def write_uuid(data: NDArray[np.uint8], start: int, run: int, seed: int, arrival: int) -> None:
    """Write the UUID of an arrival of a run, in the form of a random one (RFC 9562, version 4)."""
    high = mix64(stream_key(run, arrival) + np.uint64(seed))
    low = mix64(stream_key(arrival, run) + mix64(np.uint64(seed)))
    at = start
    for digit in range(32):
        if digit in (8, 12, 16, 20):
            data[at] = _HYPHEN
            at += 1
        bits = high if digit < 16 else low
        nibble = int((bits >> np.uint64(60 - 4 * (digit % 16))) & np.uint64(15))
        if digit == 12:
            nibble = 4
        elif digit == 16:
            nibble = 8 + (nibble & 3)
        data[at] = nibble + (48 if nibble < 10 else 87)
        at += 1


@inner
def _put(data: NDArray[np.uint8], at: int, byte: np.int64 | int) -> int:
    """Write a byte where there is a place for it; return the position after it."""
    if at < data.size:
        data[at] = byte
    return at + 1


@inner
def _hex_digit(value: np.int64 | int) -> np.int64 | int:
    return value + (48 if value < 10 else 55)


@compiled
def write_captured(
    data: NDArray[np.uint8], at: int, value: NDArray[np.uint8], size: int, kind: int, form: int
) -> int:
    """Write a captured value in one of its forms; return the position after it."""
    is_quoted = form == AS_JSON and kind == TEXT_VALUE
    if is_quoted:
        at = _put(data, at, _QUOTE)
    for place in range(size):
        byte = np.int64(value[place])
        if form == IN_PATH and (byte <= _SPACE or byte > _LAST_PRINTABLE or byte in _NOT_IN_A_PATH):
            at = _put(data, at, _PERCENT)
            at = _put(data, at, _hex_digit(byte >> 4))
            at = _put(data, at, _hex_digit(byte & 15))
        elif (is_quoted or form == IN_JSON) and byte < _SPACE:
            for escape in _ESCAPE:
                at = _put(data, at, escape)
            at = _put(data, at, _hex_digit(byte >> 4))
            at = _put(data, at, _hex_digit(byte & 15))
        else:
            if (is_quoted or form == IN_JSON) and byte in (_QUOTE, _BACKSLASH):
                at = _put(data, at, _BACKSLASH)
            at = _put(data, at, byte)
    if is_quoted:
        at = _put(data, at, _QUOTE)
    return at


@compiled
def captured_size(value: NDArray[np.uint8], size: int, kind: int, form: int) -> int:
    """How many bytes `write_captured` writes."""
    return write_captured(value[:0], START, value, size, kind, form)


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
def texts_size(t: Tables, first: int, end: int, entry: NDArray[np.int64], lane: int) -> int:
    """Bytes of the texts among the fields first..end-1 of an arrival."""
    size = START
    for index in range(first, end):
        field = t.fields[index]
        if field[F_FORM] == TEXT:
            size += t.cells[number_for(t, field, entry, lane), CELL_SIZE]
        elif field[F_FORM] >= CAPTURED:
            cell = field[F_VARIABLE]
            fact = t.captured_facts[lane, cell]
            size += captured_size(t.captured[lane, cell], fact[SIZE], fact[CLASS], field[F_FORM])
    return size


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
        form = field[F_FORM]
        if field[F_SOURCE] == FROM_SIZE:
            value = field[F_BASE] + texts_size(t, index + 1, index + 1 + field[F_VARIABLE], entry, lane)
        else:
            value = number_for(t, field, entry, lane)
        if form == TEXT:
            width = t.cells[value, CELL_SIZE]
            copy_bytes(t.rendered, where, t.cell_bytes, t.cells[value, CELL_START], width)
        elif form == UUID:
            width = field[F_WIDTH]
            write_uuid(t.rendered, where, t.control[RUN_LABEL], t.settings[SEED], entry[ARRIVAL])
        elif form >= CAPTURED:
            fact = t.captured_facts[lane, field[F_VARIABLE]]
            cell = t.captured[lane, field[F_VARIABLE]]
            # It has no place in the template: what follows makes room, and only then it is written.
            width = captured_size(cell, fact[SIZE], fact[CLASS], form)
            following = field[F_OFFSET]
            copy_bytes(t.rendered, where + width, t.template, start + following, size - following)
            moved -= width
            write_captured(t.rendered, where, cell, fact[SIZE], fact[CLASS], form)
            continue
        else:
            width = write_number(t.rendered, where, field[F_WIDTH], value, form)
        if width != field[F_WIDTH]:
            following = field[F_OFFSET] + field[F_WIDTH]
            copy_bytes(t.rendered, where + width, t.template, start + following, size - following)
            moved += field[F_WIDTH] - width
    return at + size - moved


@inner
def channel_of(t: Tables, arrival: int) -> int:
    """The channel that a published arrival goes to."""
    return draw(t.variables[t.settings[CHANNEL_VARIABLE]], t.settings[SEED], arrival)
