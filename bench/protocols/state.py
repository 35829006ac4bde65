"""What the scanners have in common: the first columns of their state row, and what they answer.

Every scanner keeps its whole state in one row of int64, so bytes can be cut anywhere, a reply may be
larger than any buffer, and nothing is copied but the head of a text. A row of zeros is the start of
a reply. The engine reads the first columns only; each scanner has its own after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.jit import compiled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# RESULT of the last scan, CLASS of a complete reply, TEXT: bytes kept of its text. ENDS: 1 when the
# server closes the connection after this reply. CODE: the protocol's own number for what happened
# (an HTTP status, a packed SQLSTATE). ROWS: rows that the reply brought. HITS: values
# of it that are not null, statements that touched a row. MISSES: nulls, statements that touched none.
# WHY: of a BROKEN one, a number of bench.protocols.unreadable.
RESULT, CLASS, TEXT, ENDS, CODE, ROWS, HITS, MISSES, WHY = range(9)
FIRST_OWN_COLUMN = 9
STATE_COLUMNS = 32

# RESULT: bytes ran out, one reply ended, or the bytes are none of the protocol.
MORE, COMPLETE, BROKEN = 0, 1, 2

# CLASS
PLAIN_REPLY, ERROR_REPLY, NULL_REPLY, PUSH_REPLY = 0, 1, 2, 3

TEXT_BYTES = 96
"""How much of an error's text or of a message's head is kept."""


@compiled
def reset(state: NDArray[np.int64]) -> None:
    """Make the state ready for the next reply."""
    for column in range(STATE_COLUMNS):
        state[column] = 0
