"""What the readers of HTTP's lines have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.jit import inner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LF, _CAPITAL_A, _CAPITAL_Z = b"\nAZ"


@inner
def lower(byte: np.int64) -> np.int64:
    """Return a byte, a capital letter as a small one."""
    return byte + 32 if _CAPITAL_A <= byte <= _CAPITAL_Z else byte


@inner
def behind_line_feed(data: NDArray[np.uint8], at: int, stop: int) -> int:
    """Return the position after the first LF of data[at:stop], or `stop` plus one without any."""
    while at < stop and data[at] != _LF:
        at += 1
    return at + 1
