"""JSON (RFC 8259), read byte by byte for the values at some paths.

Strict about the grammar: in what is no JSON nothing is found. A value is copied decoded: a text without its
quotes and escapes, a number as it was written. Of two members of one name the last counts.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner, int64
from bench.protocols.wants.state import (
    AGREEING,
    CELL,
    CELL_BYTES,
    CLASS,
    COMPOSITE,
    DIGITS,
    END,
    FALSE,
    HIGH,
    INDEX,
    INDEXES,
    IS_NAME,
    JSON,
    KIND,
    LEVEL,
    LISTS,
    LISTS_ABOVE,
    MATCHED,
    MOST_PARTS,
    NULL,
    NUMBER,
    PART_END,
    PART_FIRST,
    POINT,
    SIZE,
    START,
    STATE,
    TAKES,
    TEXT,
    TRUE,
    WORD,
    WORD_AT,
    Search,
    append,
    slot_of,
)

# STATE: what comes next.
(
    AT_VALUE,
    AT_ELEMENT,
    AT_FIRST_MEMBER,
    AT_MEMBER,
    AT_COLON,
    BEHIND_VALUE,
    IN_STRING,
    IN_ESCAPE,
    IN_POINT,
    IN_NUMBER,
    IN_WORD,
    NO_JSON,
) = range(12)
_LEVELS_A_WORD = 60
MOST_LEVELS = 2 * _LEVELS_A_WORD

# WORD_AT of a number: what was read of it. It may end behind _ZERO, _WHOLE, _FRACTION and _EXPONENT.
_SIGN, _ZERO, _WHOLE, _POINT, _FRACTION, _LETTER_E, _POWER_SIGN, _EXPONENT = range(8)

_WORDS = np.array([list(word.ljust(6, b"\0")) for word in (b"true", b"false", b"null")], dtype=np.uint8)
_WORD_SIZES = np.array([4, 5, 4], dtype=np.int64)
_ESCAPED, _MEANT = np.array(list(b'"\\/bfnrt')), np.array(list(b'"\\/\b\f\n\r\t'))

_TAB, _LF, _CR, _SPACE, _QUOTE, _BACKSLASH = b'\t\n\r "\\'
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT, _COMMA, _COLON, _U = b"[]{},:u"
_DIGIT_0, _DIGIT_9, _LETTER_A, _LETTER_F, _LETTER_T, _LETTER_N, _MINUS, _PLUS, _DOT, _SMALL_E = b"09aftn-+.e"
_REPLACEMENT, _OBJECT, _LIST, _NONE = int64(0xFFFD), int64(0), int64(1), int64(-1)
_FIRST_HIGH, _FIRST_LOW, _BEHIND_LOW = 0xD800, 0xDC00, 0xE000


@inner
def _take(s: Search, byte: np.int64 | int) -> None:
    """One byte of a name, which is compared, or of a value, which is copied where it is wanted."""
    p = s.progress
    for number in range(s.wants.shape[0]):
        slot = slot_of(number)
        if p[IS_NAME] == 0:
            if p[slot + TAKES] == 1:
                append(s, s.wants[number, CELL], byte, CELL_BYTES)
        elif p[slot + AGREEING] >= 0:
            part = s.parts[s.wants[number, PART_FIRST] + p[LEVEL] - 1]
            place = part[START] + p[slot + AGREEING]
            agrees = place < part[END] and s.texts[place] == byte
            p[slot + AGREEING] = p[slot + AGREEING] + 1 if agrees else -1


@inner
def _take_point(s: Search, point: np.int64 | int) -> None:
    """A code point as its bytes in UTF-8."""
    if point < 0x80:
        _take(s, point)
        return
    if point < 0x800:
        _take(s, 0xC0 | point >> 6)
    else:
        if point < 0x10000:
            _take(s, 0xE0 | point >> 12)
        else:
            _take(s, 0xF0 | point >> 18)
            _take(s, 0x80 | (point >> 12 & 0x3F))
        _take(s, 0x80 | (point >> 6 & 0x3F))
    _take(s, 0x80 | (point & 0x3F))


@inner
def _end_half(s: Search) -> None:
    """The first half of a pair has no second one."""
    if s.progress[HIGH] != 0:
        s.progress[HIGH] = 0
        _take_point(s, _REPLACEMENT)


@inner
def _is_list(p: NDArray[np.int64]) -> bool:
    """Whether the innermost that is open is a list."""
    level = p[LEVEL] - 1
    if level < _LEVELS_A_WORD:
        return bool(p[LISTS] >> level & 1)
    return bool(p[LISTS_ABOVE] >> (level - _LEVELS_A_WORD) & 1)


@inner
def _may_lead(s: Search, number: int) -> bool:
    """Whether the present list or object is on the way of a path."""
    level = s.progress[LEVEL]
    want = s.wants[number]
    is_long_enough = want[KIND] == JSON and want[PART_END] - want[PART_FIRST] >= level
    return bool(is_long_enough and s.progress[slot_of(number) + MATCHED] >= level - 1)


@inner
def _begin_element(s: Search) -> None:
    """The next element of the present list."""
    p = s.progress
    level = p[LEVEL]
    if level > MOST_PARTS:
        return
    for number in range(s.wants.shape[0]):
        if _may_lead(s, number):
            agrees = s.parts[s.wants[number, PART_FIRST] + level - 1, INDEX] == p[INDEXES + level - 1]
            p[slot_of(number) + MATCHED] = level if agrees else level - 1
    p[INDEXES + level - 1] += 1


@inner
def _begin_name(s: Search) -> None:
    p = s.progress
    p[STATE] = IN_STRING
    p[IS_NAME] = 1
    for number in range(s.wants.shape[0]):
        can_agree = _may_lead(s, number) and s.parts[s.wants[number, PART_FIRST] + p[LEVEL] - 1, INDEX] < 0
        p[slot_of(number) + AGREEING] = 0 if can_agree else -1


@inner
def _end_name(s: Search) -> None:
    p = s.progress
    p[STATE] = AT_COLON
    p[IS_NAME] = 0
    for number in range(s.wants.shape[0]):
        if _may_lead(s, number):
            part = s.parts[s.wants[number, PART_FIRST] + p[LEVEL] - 1]
            slot = slot_of(number)
            agrees = p[slot + AGREEING] == part[END] - part[START]
            p[slot + MATCHED] = p[LEVEL] if agrees else p[LEVEL] - 1


@inner
def _begin_value(s: Search, kind: np.int64 | int) -> None:
    """A value begins: which wants are about it?"""
    p = s.progress
    for number in range(s.wants.shape[0]):
        want, slot = s.wants[number], slot_of(number)
        size = want[PART_END] - want[PART_FIRST]
        p[slot + TAKES] = 0
        if want[KIND] == JSON and size == p[LEVEL] and p[slot + MATCHED] == size:
            s.facts[want[CELL], CLASS] = kind
            s.facts[want[CELL], SIZE] = 0
            p[slot + TAKES] = 1


@inner
def _open(s: Search, is_list: np.int64 | int) -> None:
    """A list or an object begins."""
    p = s.progress
    _begin_value(s, COMPOSITE)
    level = p[LEVEL]
    if level == MOST_LEVELS:
        p[STATE] = NO_JSON
        return
    if level < _LEVELS_A_WORD:
        p[LISTS] = p[LISTS] & ~(_LIST << level) | is_list << level
    else:
        above = level - _LEVELS_A_WORD
        p[LISTS_ABOVE] = p[LISTS_ABOVE] & ~(_LIST << above) | is_list << above
    if level < MOST_PARTS:
        p[INDEXES + level] = 0
    p[LEVEL] = level + 1
    p[STATE] = AT_ELEMENT if is_list == 1 else AT_FIRST_MEMBER


@inner
def _close(s: Search) -> None:
    """The innermost list or object ends."""
    p = s.progress
    p[LEVEL] -= 1
    p[STATE] = BEHIND_VALUE
    for number in range(s.wants.shape[0]):
        slot = slot_of(number)
        if s.wants[number, KIND] == JSON:
            p[slot + MATCHED] = min(p[slot + MATCHED], p[LEVEL])


@inner
def _on_value(s: Search, byte: np.int64 | int) -> None:
    """The first byte of a value."""
    p = s.progress
    if byte == _OPEN_OBJECT:
        _open(s, _OBJECT)
    elif byte == _OPEN_LIST:
        _open(s, _LIST)
    elif byte == _QUOTE:
        _begin_value(s, TEXT)
        p[STATE] = IN_STRING
    elif byte == _MINUS or _DIGIT_0 <= byte <= _DIGIT_9:
        _begin_value(s, NUMBER)
        p[STATE] = IN_NUMBER
        p[WORD_AT] = _SIGN if byte == _MINUS else _ZERO if byte == _DIGIT_0 else _WHOLE
        _take(s, byte)
    else:
        p[STATE] = IN_WORD
        p[WORD_AT] = 1
        if byte == _LETTER_T:
            _begin_value(s, TRUE)
            p[WORD] = 0
        elif byte == _LETTER_F:
            _begin_value(s, FALSE)
            p[WORD] = 1
        elif byte == _LETTER_N:
            _begin_value(s, NULL)
            p[WORD] = 2
        else:
            p[STATE] = NO_JSON
        _take(s, byte)


@inner
def _on_number(s: Search, byte: np.int64 | int) -> bool:
    """A byte in or behind a number; False where the number has ended before it."""
    p = s.progress
    at = p[WORD_AT]
    is_digit = _DIGIT_0 <= byte <= _DIGIT_9
    following = _NONE
    if is_digit:
        if at == _SIGN:
            following = _ZERO if byte == _DIGIT_0 else _WHOLE
        elif at == _WHOLE:
            following = _WHOLE
        elif at in (_POINT, _FRACTION):
            following = _FRACTION
        elif at in (_LETTER_E, _POWER_SIGN, _EXPONENT):
            following = _EXPONENT
    elif byte == _DOT and at in (_ZERO, _WHOLE):
        following = _POINT
    elif byte | 0x20 == _SMALL_E and at in (_ZERO, _WHOLE, _FRACTION):
        following = _LETTER_E
    elif byte in (_PLUS, _MINUS) and at == _LETTER_E:
        following = _POWER_SIGN
    if following < 0:
        p[STATE] = BEHIND_VALUE if at in (_ZERO, _WHOLE, _FRACTION, _EXPONENT) else NO_JSON
        return False
    p[WORD_AT] = following
    _take(s, byte)
    return True


@inner
def _on_string(s: Search, byte: np.int64 | int) -> None:
    """A byte in a string."""
    p = s.progress
    if byte == _BACKSLASH:
        p[STATE] = IN_ESCAPE
        return
    _end_half(s)
    if byte == _QUOTE:
        if p[IS_NAME] == 1:
            _end_name(s)
        else:
            p[STATE] = BEHIND_VALUE
    elif byte < _SPACE:
        p[STATE] = NO_JSON
    else:
        _take(s, byte)


@inner
def _on_escape(s: Search, byte: np.int64 | int) -> None:
    """The byte behind a backslash."""
    p = s.progress
    if byte == _U:
        p[STATE] = IN_POINT
        p[POINT] = 0
        p[DIGITS] = 0
        return
    _end_half(s)
    p[STATE] = NO_JSON
    for number in range(_ESCAPED.size):
        if _ESCAPED[number] == byte:
            p[STATE] = IN_STRING
            _take(s, _MEANT[number])


@inner
def _on_point(s: Search, byte: np.int64 | int) -> None:
    """A digit of an escaped code point."""
    p = s.progress
    small = byte | 0x20
    if _DIGIT_0 <= byte <= _DIGIT_9:
        digit = byte - _DIGIT_0
    elif _LETTER_A <= small <= _LETTER_F:
        digit = small - _LETTER_A + 10
    else:
        p[STATE] = NO_JSON
        return
    p[POINT] = p[POINT] << 4 | digit
    p[DIGITS] += 1
    if p[DIGITS] < 4:
        return
    p[STATE] = IN_STRING
    point = p[POINT]
    if _FIRST_LOW <= point < _BEHIND_LOW and p[HIGH] != 0:
        high = p[HIGH]
        p[HIGH] = 0
        _take_point(s, 0x10000 + ((high - _FIRST_HIGH) << 10) + (point - _FIRST_LOW))
        return
    _end_half(s)
    if _FIRST_HIGH <= point < _FIRST_LOW:
        p[HIGH] = point
    else:
        _take_point(s, _REPLACEMENT if _FIRST_LOW <= point < _BEHIND_LOW else point)


@inner
def _on_mark(s: Search, byte: np.int64 | int) -> None:
    """A byte between values that is no blank."""
    p = s.progress
    state = p[STATE]
    if state == AT_VALUE:
        _on_value(s, byte)
    elif state == AT_ELEMENT:
        if byte == _CLOSE_LIST:
            _close(s)
        else:
            _begin_element(s)
            _on_value(s, byte)
    elif state in (AT_FIRST_MEMBER, AT_MEMBER):
        if byte == _QUOTE:
            _begin_name(s)
        elif byte == _CLOSE_OBJECT and state == AT_FIRST_MEMBER:
            _close(s)
        else:
            p[STATE] = NO_JSON
    elif state == AT_COLON:
        p[STATE] = AT_VALUE if byte == _COLON else NO_JSON
    elif p[LEVEL] == 0:
        p[STATE] = NO_JSON
    elif byte == _COMMA:
        if _is_list(p):
            _begin_element(s)
            p[STATE] = AT_VALUE
        else:
            p[STATE] = AT_MEMBER
    elif byte == (_CLOSE_LIST if _is_list(p) else _CLOSE_OBJECT):
        _close(s)
    else:
        p[STATE] = NO_JSON


@inner
def read_json(s: Search, data: NDArray[np.uint8], at: int, stop: int) -> None:
    """Some bytes of what should be one JSON value."""
    p = s.progress
    while at < stop:
        byte = np.int64(data[at])
        state = p[STATE]
        if state == IN_STRING:
            _on_string(s, byte)
        elif state == IN_ESCAPE:
            _on_escape(s, byte)
        elif state == IN_POINT:
            _on_point(s, byte)
        elif state == IN_NUMBER:
            if not _on_number(s, byte):
                continue
        elif state == IN_WORD:
            agrees = _WORDS[p[WORD], p[WORD_AT]] == byte
            p[WORD_AT] += 1
            _take(s, byte)
            if not agrees:
                p[STATE] = NO_JSON
            elif p[WORD_AT] == _WORD_SIZES[p[WORD]]:
                p[STATE] = BEHIND_VALUE
        elif state == NO_JSON:
            return
        elif byte not in (_SPACE, _LF, _CR, _TAB):
            _on_mark(s, byte)
        at += 1


@inner
def is_whole(p: NDArray[np.int64]) -> bool:
    """Whether all bytes together are one JSON value."""
    if p[STATE] == IN_NUMBER:
        return bool(p[LEVEL] == 0 and p[WORD_AT] in (_ZERO, _WHOLE, _FRACTION, _EXPONENT))
    return bool(p[STATE] == BEHIND_VALUE and p[LEVEL] == 0)
