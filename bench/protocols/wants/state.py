"""What a scenario wants of an answer, as tables: values to capture for later requests, and values to expect.

A want is a row of `wants`: a JSON path, the text between two marks, or a header or a part of it. While an
answer's bytes pass, in pieces of any size, each want copies its value into a cell. Nothing is allocated or
kept beside that.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner

# Columns of `wants` (int64). PART_FIRST, PART_END: rows of `parts`. CELL: where its value is kept.
# EXPECTED: the class of the value that is expected, NO_VALUE for a capture; EXPECTED_START, EXPECTED_END: its
# bytes. IS_PRINTABLE: 1 where what is captured must be printable ASCII, because it goes into a header.
# SAID_START, SAID_END: how its error is said.
(
    KIND,
    PART_FIRST,
    PART_END,
    CELL,
    EXPECTED,
    EXPECTED_START,
    EXPECTED_END,
    IS_PRINTABLE,
    SAID_START,
    SAID_END,
) = range(10)
WANT_COLUMNS = 10
JSON, BETWEEN, HEADER = range(3)

# Columns of `parts` (int64): of a path its steps, of BETWEEN its two marks, of HEADER its name and perhaps
# the mark behind which the value begins and the one before which it ends. INDEX: of an
# element of a list, -1 for a name. START, END: the name or the mark in `want_bytes`.
INDEX, START, END = range(3)
PART_COLUMNS = 3
MOST_PARTS = 16
MOST_WANTS = 16
"""Of one answer."""

# Class of a value, the first column of its cell's facts; the second is its size.
NO_VALUE, TEXT, NUMBER, TRUE, FALSE, NULL, COMPOSITE, TOO_LONG, UNPRINTABLE = range(9)
CLASS, SIZE = range(2)
CELL_BYTES = 4096
MOST_MARK = 256
CELL_ROOM = CELL_BYTES + MOST_MARK
"""The mark behind a text is copied before it is known."""

# Columns of a lane's progress (int64). LEVEL: lists and objects that are open; LISTS: a bit for each, 1
# for a list. IS_NAME: whether the string is the name of a member. POINT, DIGITS: of an escaped code point;
# HIGH: the first half of a pair. WORD: the literal; WORD_AT: bytes of it that agree, or the place in a
# number. LINE: place in a header line.
(STATE, LEVEL, LISTS, LISTS_ABOVE, IS_NAME, POINT, DIGITS, HIGH, WORD, WORD_AT, LINE) = range(11)
INDEXES = 11
SLOTS = INDEXES + MOST_PARTS
# Of each want, SLOT_COLUMNS apart: MATCHED: steps of its path that lead to the present place; of BETWEEN,
# marks that were met. AGREEING: bytes of a name or mark that agree, -1: none can. TAKES: 1 while it copies.
MATCHED, AGREEING, TAKES = range(3)
SLOT_COLUMNS = 3
PROGRESS_COLUMNS = SLOTS + SLOT_COLUMNS * MOST_WANTS


class Search(NamedTuple):
    """The wants of one answer, and what was found of them so far."""

    wants: NDArray[np.int64]
    parts: NDArray[np.int64]
    texts: NDArray[np.uint8]
    """Names, marks, expected values and what errors say, one after the other."""
    links: NDArray[np.int64]
    """For each byte of `texts` that is of a mark: bench.protocols.http.body.links_of."""
    progress: NDArray[np.int64]
    cells: NDArray[np.uint8]
    """cells[cell]: a value, CELL_ROOM bytes."""
    facts: NDArray[np.int64]
    """facts[cell]: CLASS and SIZE of the value."""


@inner
def append(s: Search, cell: int, byte: np.int64 | int, most: int) -> None:
    """One more byte of a value, of which there is room for `most`."""
    size = s.facts[cell, SIZE]
    if size < most:
        s.cells[cell, size] = byte
        s.facts[cell, SIZE] = size + 1
    else:
        s.facts[cell, CLASS] = TOO_LONG


@inner
def slot_of(number: int) -> int:
    """Where the progress of a want begins."""
    return SLOTS + SLOT_COLUMNS * number
