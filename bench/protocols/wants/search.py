"""The wants of one answer, looked for while its bytes pass, and which of them is not met."""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, inner, int64
from bench.protocols.state import TEXT_BYTES
from bench.protocols.wants.json import is_whole, read_json
from bench.protocols.wants.state import (
    AGREEING,
    BETWEEN,
    CELL,
    CELL_BYTES,
    CELL_ROOM,
    CLASS,
    END,
    EXPECTED,
    EXPECTED_END,
    EXPECTED_START,
    FALSE,
    HEADER,
    INDEXES,
    IS_PRINTABLE,
    JSON,
    KIND,
    LINE,
    MATCHED,
    NO_VALUE,
    NUMBER,
    PART_END,
    PART_FIRST,
    PROGRESS_COLUMNS,
    SAID_END,
    SAID_START,
    SIZE,
    START,
    TAKES,
    TEXT,
    TOO_LONG,
    UNPRINTABLE,
    Search,
    append,
    slot_of,
)

_TAB, _LF, _CR, _SPACE, _COLON, _LAST_PRINTABLE, _CAPITAL_A, _CAPITAL_Z = b"\t\n\r :~AZ"
_DIGIT_0, _MINUS, _PLUS, _DOT, _SMALL_E = b"0-+.e"
REASONS = (
    "nothing to capture: ",
    "no printable ASCII, as a header needs: ",
    f"longer than {CELL_BYTES} bytes: ",
)
"""Why a value was not captured; its name stands behind it."""
_WHY = np.array([list(text.encode().ljust(48, b"\0")) for text in REASONS], dtype=np.uint8)
_ZERO, _ONE, _MINUS_ONE = int64(0), int64(1), int64(-1)
MOST_POWER = int64(100_000)
MOST_DIGITS = 18
"""A number with more is compared as it is written."""

# LINE of a head.
_AT_LINE, _IN_NAME, _BEFORE_VALUE, _IN_VALUE, _SKIPPED = range(5)


@compiled
def begin_search(s: Search) -> None:
    """Make ready for the next answer."""
    for column in range(PROGRESS_COLUMNS):
        s.progress[column] = 0
    for number in range(s.wants.shape[0]):
        _clear(s, s.wants[number, CELL])


@inner
def _clear(s: Search, cell: int) -> None:
    s.facts[cell, CLASS] = NO_VALUE
    s.facts[cell, SIZE] = 0


@inner
def _read_between(s: Search, number: int, data: NDArray[np.uint8], at: int, stop: int) -> None:
    """Search for the first mark, then copy up to the second."""
    want, p = s.wants[number], s.progress
    slot, cell = slot_of(number), s.wants[number, CELL]
    while at < stop and p[slot + MATCHED] < 2:
        byte = data[at]
        at += 1
        part = s.parts[want[PART_FIRST] + p[slot + MATCHED]]
        if p[slot + MATCHED] == 1:
            append(s, cell, np.int64(byte), CELL_ROOM)
        agreeing = p[slot + AGREEING]
        while agreeing > 0 and s.texts[part[START] + agreeing] != byte:
            agreeing = s.links[part[START] + agreeing - 1]
        if s.texts[part[START] + agreeing] == byte:
            agreeing += 1
        if agreeing == part[END] - part[START]:
            p[slot + MATCHED] += 1
            if p[slot + MATCHED] == 2:
                s.facts[cell, SIZE] -= agreeing
                if s.facts[cell, CLASS] != TOO_LONG and s.facts[cell, SIZE] <= CELL_BYTES:
                    s.facts[cell, CLASS] = TEXT
                else:
                    s.facts[cell, CLASS] = TOO_LONG
            agreeing = _ZERO
        p[slot + AGREEING] = agreeing


@inner
def _on_header_byte(s: Search, byte: np.int64 | int) -> None:
    """A byte of a header line."""
    p = s.progress
    for number in range(s.wants.shape[0]):
        want, slot = s.wants[number], slot_of(number)
        if want[KIND] != HEADER:
            continue
        if p[LINE] == _IN_NAME and p[slot + AGREEING] >= 0:
            part = s.parts[want[PART_FIRST]]
            place = part[START] + p[slot + AGREEING]
            is_capital = _CAPITAL_A <= byte <= _CAPITAL_Z
            agrees = place < part[END] and s.texts[place] == (byte | 0x20 if is_capital else byte)
            p[slot + AGREEING] = p[slot + AGREEING] + 1 if agrees else -1
        elif p[LINE] == _IN_VALUE and p[slot + TAKES] == 1:
            append(s, want[CELL], byte, CELL_BYTES)


@inner
def _on_header_name_end(s: Search) -> None:
    """A colon: whose value follows? Of several headers of one name the first counts."""
    p = s.progress
    for number in range(s.wants.shape[0]):
        want, slot = s.wants[number], slot_of(number)
        if want[KIND] == HEADER:
            part = s.parts[want[PART_FIRST]]
            is_named = p[slot + AGREEING] == part[END] - part[START]
            p[slot + TAKES] = 1 if is_named and s.facts[want[CELL], CLASS] == NO_VALUE else 0
            if p[slot + TAKES] == 1:
                s.facts[want[CELL], CLASS] = TEXT


@inner
def _behind_mark(s: Search, cell: int, part: int, at: int) -> int:
    """The first place behind a mark in a cell, from `at` on; -1 where it is not there."""
    start = s.parts[part, START]
    length = s.parts[part, END] - start
    while at + length <= s.facts[cell, SIZE]:
        agreeing = _ZERO
        while agreeing < length and s.cells[cell, at + agreeing] == s.texts[start + agreeing]:
            agreeing += 1
        if agreeing == length:
            return at + length
        at += 1
    return -1


@inner
def _cut(s: Search, number: int) -> None:
    """Keep of a header's value what stands between its marks; nothing where they are not there, so that the
    next header of that name is looked at: a server sets each cookie by one.
    """
    want = s.wants[number]
    cell, after, before = want[CELL], want[PART_FIRST] + 1, want[PART_FIRST] + 2
    begin, stop = _behind_mark(s, cell, after, _ZERO), s.facts[cell, SIZE]
    if begin >= 0 and before < want[PART_END]:
        stop = _behind_mark(s, cell, before, begin) - (s.parts[before, END] - s.parts[before, START])
    if begin < 0 or stop < begin:
        _clear(s, cell)
        return
    for place in range(stop - begin):
        s.cells[cell, place] = s.cells[cell, begin + place]
    s.facts[cell, SIZE] = stop - begin


@inner
def _on_header_line_end(s: Search) -> None:
    """The blanks at the end of a value are none of it."""
    p = s.progress
    for number in range(s.wants.shape[0]):
        want, slot = s.wants[number], slot_of(number)
        if want[KIND] != HEADER:
            continue
        cell = want[CELL]
        if p[slot + TAKES] == 1:
            while s.facts[cell, SIZE] > 0 and s.cells[cell, s.facts[cell, SIZE] - 1] in (_SPACE, _TAB, _CR):
                s.facts[cell, SIZE] -= 1
            if want[PART_END] - want[PART_FIRST] > 1:
                _cut(s, number)
        p[slot + TAKES] = 0
        p[slot + AGREEING] = 0


@compiled
def look_in_head(s: Search, data: NDArray[np.uint8], at: int, stop: int) -> None:
    """Some bytes of an answer's head."""
    p = s.progress
    while at < stop:
        byte = np.int64(data[at])
        at += 1
        if byte == _LF:
            _on_header_line_end(s)
            p[LINE] = _AT_LINE
        elif p[LINE] == _AT_LINE and byte in (_SPACE, _TAB):
            p[LINE] = _SKIPPED  # of a folded header the first line counts
        elif p[LINE] <= _IN_NAME:
            if byte == _COLON:
                _on_header_name_end(s)
                p[LINE] = _BEFORE_VALUE
            else:
                p[LINE] = _IN_NAME
                _on_header_byte(s, byte)
        elif p[LINE] == _IN_VALUE or (p[LINE] == _BEFORE_VALUE and byte not in (_SPACE, _TAB)):
            p[LINE] = _IN_VALUE
            _on_header_byte(s, byte)


@compiled
def look_in_body(s: Search, data: NDArray[np.uint8], at: int, stop: int) -> None:
    """Some bytes of an answer's body, without what its coding adds."""
    has_json = False
    for number in range(s.wants.shape[0]):
        kind = s.wants[number, KIND]
        has_json = has_json or kind == JSON
        if kind == BETWEEN:
            _read_between(s, number, data, at, stop)
    if has_json:
        read_json(s, data, at, stop)


@inner
def _decimal(data: NDArray[np.uint8], size: int, found: NDArray[np.int64]) -> bool:
    """Write sign, digits and power of ten of a number, without zeros at its ends; False for too many."""
    sign, digits, power, exponent, exponent_sign = _ONE, _ZERO, _ZERO, _ZERO, _ONE
    is_fraction = is_exponent = False
    count, zeros = _ZERO, _ZERO
    for at in range(size):
        byte = np.int64(data[at])
        if byte | 0x20 == _SMALL_E:
            is_exponent = True
        elif byte == _DOT:
            is_fraction = True
        elif byte == _MINUS:
            if is_exponent:
                exponent_sign = _MINUS_ONE
            else:
                sign = _MINUS_ONE
        elif byte != _PLUS:
            if is_exponent:
                exponent = min(exponent * 10 + int(byte) - _DIGIT_0, MOST_POWER)
                continue
            power -= is_fraction
            if byte == _DIGIT_0:
                zeros += 1
                continue
            # Zeros count once something stands behind them.
            count += zeros + 1 if digits > 0 else 1
            if count > MOST_DIGITS:
                return False
            if digits > 0:
                for _ in range(zeros):
                    digits *= 10
            zeros = _ZERO
            digits = digits * 10 + int(byte) - _DIGIT_0
    found[0], found[1] = (sign, digits) if digits > 0 else (_ONE, digits)
    found[2] = power + zeros + exponent_sign * exponent if digits > 0 else _ZERO
    return True


@inner
def _is_expected(s: Search, number: int) -> bool:
    """Whether the value of a want is the one that is expected."""
    want = s.wants[number]
    cell = want[CELL]
    kind, size = s.facts[cell, CLASS], s.facts[cell, SIZE]
    if kind != want[EXPECTED]:
        return False
    if kind not in (TEXT, NUMBER):
        return True
    value, expected = s.cells[cell], s.texts[want[EXPECTED_START] : want[EXPECTED_END]]
    if kind == NUMBER:
        one, other = s.progress[INDEXES : INDEXES + 3], s.progress[INDEXES + 3 : INDEXES + 6]
        if _decimal(value, size, one) and _decimal(expected, expected.size, other):
            return bool(one[0] == other[0] and one[1] == other[1] and one[2] == other[2])
    if size != expected.size:
        return False
    is_equal = True
    for place in range(size):
        is_equal = is_equal and value[place] == expected[place]
    return is_equal


@inner
def _is_printable(value: NDArray[np.uint8], size: int) -> bool:
    is_printable = True
    for place in range(size):
        is_printable = is_printable and _SPACE <= value[place] <= _LAST_PRINTABLE
    return is_printable


@compiled
def settle(s: Search) -> int:
    """After the answer's end: the number of the first want that is not met, or -1.

    Then facts[cell, CLASS] of a capture says why: TOO_LONG, UNPRINTABLE, or else that there is nothing.
    """
    is_json = is_whole(s.progress)
    for number in range(s.wants.shape[0]):
        want = s.wants[number]
        fact = s.facts[want[CELL]]
        if want[KIND] == JSON and not is_json and fact[CLASS] != TOO_LONG:
            fact[CLASS] = NO_VALUE
        if want[KIND] == BETWEEN and s.progress[slot_of(number) + MATCHED] < 2 and fact[CLASS] != TOO_LONG:
            fact[CLASS] = NO_VALUE
        if want[EXPECTED] != NO_VALUE:
            if not _is_expected(s, number):
                return number
        elif not TEXT <= fact[CLASS] <= FALSE or fact[SIZE] == 0:
            return number
        elif want[IS_PRINTABLE] == 1 and not _is_printable(s.cells[want[CELL]], fact[SIZE]):
            fact[CLASS] = UNPRINTABLE
            return number
    return -1


@compiled
def write_unmet(s: Search, number: int, text: NDArray[np.uint8]) -> int:
    """Write which want is not met, and why; return the length."""
    want = s.wants[number]
    size = _ZERO
    if want[EXPECTED] == NO_VALUE:
        kind = s.facts[want[CELL], CLASS]
        reason = _WHY[2 if kind == TOO_LONG else 1 if kind == UNPRINTABLE else 0]
        while reason[size] != 0:
            text[size] = reason[size]
            size += 1
    for place in range(want[SAID_START], min(want[SAID_END], want[SAID_START] + TEXT_BYTES - size)):
        text[size] = s.texts[place]
        size += 1
    return size
